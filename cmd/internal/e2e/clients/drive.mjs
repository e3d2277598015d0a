// Drives the providers' own SDKs. Reads a JSON array of calls on standard input, runs them one after the other
// and prints one JSON line per call: {name, ok, status, usage, text, tools, error}.
//
// A call: {name, sdk: "openai"|"anthropic", op: "chat"|"responses"|"embeddings"|"messages", base_url, api_key,
//          headers: {}, body: {}, abort_after: number of stream events after which the client leaves}
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";

const operations = {
  chat: (client, body, options) => client.chat.completions.create(body, options),
  responses: (client, body, options) => client.responses.create(body, options),
  embeddings: (client, body, options) => client.embeddings.create(body, options),
  messages: (client, body, options) => client.messages.create(body, options),
};

function client(call) {
  const options = { apiKey: call.api_key, baseURL: call.base_url, defaultHeaders: call.headers, maxRetries: 0, timeout: 20000 };
  return call.sdk === "anthropic" ? new Anthropic(options) : new OpenAI(options);
}

function collect(result, event) {
  result.events++;
  if (event.usage) result.usage = { ...result.usage, ...event.usage };
  if (event.message?.usage) result.usage = { ...result.usage, ...event.message.usage };
  if (event.response?.usage) result.usage = event.response.usage;
  const delta = event.choices?.[0]?.delta;
  result.text += delta?.content ?? (event.type === "response.output_text.delta" ? event.delta : "") ?? "";
  result.text += event.type === "content_block_delta" ? (event.delta.text ?? "") : "";
  for (const tool of delta?.tool_calls ?? []) if (tool.function?.name) result.tools.push(tool.function.name);
  if (event.type === "content_block_start" && event.content_block.type === "tool_use") result.tools.push(event.content_block.name);
}

function collectWhole(result, answer) {
  result.usage = answer.usage;
  const message = answer.choices?.[0]?.message;
  result.text = message?.content ?? answer.output_text ?? answer.content?.map?.((block) => block.text ?? "").join("") ?? "";
  for (const tool of message?.tool_calls ?? []) result.tools.push(tool.function.name);
  for (const block of answer.content ?? []) if (block.type === "tool_use") result.tools.push(block.name);
  for (const item of answer.output ?? []) if (item.type === "function_call") result.tools.push(item.name);
}

async function run(call) {
  const result = { name: call.name, ok: false, events: 0, text: "", tools: [] };
  const controller = new AbortController();
  try {
    const answer = await operations[call.op](client(call), call.body, { signal: controller.signal });
    if (call.body.stream) {
      for await (const event of answer) {
        collect(result, event);
        if (call.abort_after && result.events >= call.abort_after) {
          controller.abort();
          break;
        }
      }
    } else {
      collectWhole(result, answer);
    }
    result.ok = true;
  } catch (error) {
    result.status = error.status ?? 0;
    result.error = error.constructor.name;
    result.message = String(error.message).slice(0, 200);
  }
  return result;
}

let input = "";
for await (const chunk of process.stdin) input += chunk;
for (const call of JSON.parse(input)) console.log(JSON.stringify(await run(call)));
