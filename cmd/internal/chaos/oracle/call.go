package oracle

import (
	"fmt"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

// firstToken is when the first frame with content came: the second of a chat, the third of a message.
func firstToken(c *workload.Call) string {
	switch c.Kind {
	case workload.ChatStream, workload.Broken:
		return since(c.Started, c.Frame(2))
	case workload.MessagesStream:
		return since(c.Started, c.Frame(3))
	}
	return null
}

func status(c *workload.Call) string {
	switch c.Kind {
	case workload.Limited:
		return "429"
	case workload.Refused:
		return "0"
	}
	return "200"
}

func outcome(c *workload.Call) string {
	switch c.Kind {
	case workload.Broken:
		return "upstream_abort"
	case workload.Refused:
		return "no_response"
	}
	return "complete"
}

func errorClass(c *workload.Call) string {
	if c.Kind == workload.Refused {
		return "refused"
	}
	return ""
}

func errorType(c *workload.Call) string {
	if c.Kind == workload.Limited {
		return "rate_limit_exceeded"
	}
	return ""
}

func dialect(c *workload.Call) string {
	switch {
	case c.Anthropic():
		return "anthropic_messages"
	case c.Kind == workload.Embeddings:
		return "openai_embeddings"
	}
	return "openai_chat"
}

func tier(c *workload.Call) string {
	if c.Kind == workload.Chat {
		return "default"
	}
	return ""
}

func finish(c *workload.Call) string {
	switch c.Kind {
	case workload.Chat:
		if c.Tool != nil {
			return list("tool_calls")
		}
		return list("stop")
	case workload.ChatStream:
		return list("stop")
	case workload.Messages, workload.MessagesStream:
		if c.Tool != nil {
			return list("tool_use")
		}
		return list("end_turn")
	}
	return list()
}

func offered(c *workload.Call) string {
	if c.Kind == workload.Embeddings {
		return list()
	}
	return list("find_invoice", "send_mail")
}

func called(c *workload.Call) string {
	if c.Tool == nil {
		return list()
	}
	return list(c.Tool.Name)
}

func batchHeader(c *workload.Call) string { return fmt.Sprintf("{'x-batch':'%s'}", c.Batch()) }

// counted reports whether the provider told token counts.
func counted(c *workload.Call) bool {
	switch c.Kind {
	case workload.Limited, workload.Refused, workload.Broken:
		return false
	}
	return true
}

// usage is usage_source to audio_milliseconds.
func usage(c *workload.Call) []string {
	out := make([]string, 17)
	for i := range out {
		out[i] = null
	}
	out[0], out[1] = "none", list()
	if !counted(c) {
		return out
	}
	out[0] = "provider"
	in, generated := c.Uncached+c.CacheRead+c.Write5m+c.Write1h, c.Text+c.Reasoning
	out[2], out[3], out[10], out[11] = count(in), count(c.Uncached), count(generated), count(c.Text)
	switch c.Kind {
	case workload.Chat, workload.ChatStream:
		out[4], out[12] = count(c.CacheRead), count(c.Reasoning)
	case workload.Messages, workload.MessagesStream:
		out[4], out[5], out[6], out[7] = count(c.CacheRead), count(c.Write5m), count(c.Write1h), "0"
	}
	return out
}

// cost is cost_status to price_id.
func cost(c *workload.Call) []string {
	switch c.Kind {
	case workload.Limited:
		return []string{"not_billed", null, null, null, "http_error", ""}
	case workload.Refused:
		return []string{"not_billed", null, null, null, "no_response", ""}
	}
	rate, ok := rateOf(c)
	if !ok {
		return []string{"unknown_model", null, null, null, "unknown_model", ""}
	}
	price := rate.Provider + "/" + rate.Model + "@2026-01-01"
	if c.Kind == workload.Broken {
		return []string{"no_usage", null, null, null, "no_usage", price}
	}
	in, out := amounts(c, rate)
	detail := ""
	if c.Answered != c.Model {
		detail = "dated_snapshot"
	}
	return []string{"priced", money(in + out), money(in), money(out), detail, price}
}

func rateOf(c *workload.Call) (workload.Rate, bool) {
	for _, r := range workload.Rates() {
		if r.Provider == c.Provider() && r.Model == c.Model {
			return r, true
		}
	}
	return workload.Rate{}, false
}

// amounts is the cost of input and output in 1e-12 USD.
func amounts(c *workload.Call, r workload.Rate) (in, out int64) {
	in = c.Uncached*r.Input + c.CacheRead*r.CacheRead + c.Write5m*r.Write5m + c.Write1h*r.Write1h
	return in, (c.Text + c.Reasoning) * r.Output
}
