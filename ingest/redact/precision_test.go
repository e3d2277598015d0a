package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func cleanLines(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/clean.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func TestBody_CleanCorpus_IsLeftAlone(t *testing.T) {
	r := newTest(t)
	lines := cleanLines(t)
	if len(lines) < 200 {
		t.Fatalf("the corpus has only %d lines", len(lines))
	}
	wrong := 0
	for _, line := range lines {
		for _, in := range []string{line, `{"messages":[{"role":"user","content":` + quoted("first\n"+line) + `}]}`, sse("openai", line, 7)} {
			out, counts, err := r.Body("", []byte(in))
			if err != nil {
				t.Errorf("%s: %v", in, err)
			}
			if len(counts) > 0 {
				wrong++
				t.Errorf("%v: %s", counts, out)
				break
			}
		}
	}
	t.Logf("%d of %d lines wrongly redacted", wrong, len(lines))
	whole := strings.Join(lines, "\n")
	if out, counts, err := r.Body("", []byte(whole)); err != nil || string(out) != whole {
		t.Errorf("as one text: %v %v", counts, err)
	}
}

// filled repeats lines of the corpus, chosen by keep, up to n bytes.
func filled(t testing.TB, n int, keep func(string) bool) []byte {
	var b bytes.Buffer
	lines := cleanLines(t)
	for b.Len() < n {
		for _, l := range lines {
			if keep(l) && b.Len() < n {
				b.WriteString(l)
				b.WriteByte('\n')
			}
		}
	}
	return b.Bytes()[:b.Len()]
}

// isProse chooses sentences, isTalk those that speak of passwords and tokens: the worst prose there is.
func isProse(l string) bool {
	return len(l) > 50 && strings.HasSuffix(l, ".") && !strings.ContainsAny(l, "{}=<>_/@") && !isTalk(l)
}

var talk = regexp.MustCompile(`(?i)passw|secret|bearer|basic|token|key`)

func isTalk(l string) bool { return strings.HasSuffix(l, ".") && talk.MatchString(l) }

func chat(t testing.TB, size int) []byte {
	text := string(filled(t, size/3, isProse))
	return []byte(fmt.Sprintf(`{"model":"gpt-4o-2024-08-06","messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":%s},{"role":"assistant","content":%s,"tool_calls":[{"id":"call_7Hq2mZs9KxWb4Yt1LpRn3Vc8","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}}]},{"role":"user","content":%s}],"max_completion_tokens":512,"temperature":0.7,"stream":true,"stream_options":{"include_usage":true},"user":"team-blue"}`,
		quoted(text), quoted(text[:len(text)/2]), quoted(text[len(text)/2:])))
}

// benchBody is a clean body, or nearly, of one kind.
type benchBody struct {
	name, contentType string
	body              []byte
}

func benchBodies(b testing.TB) []benchBody {
	code := func(l string) bool { return strings.ContainsAny(l, "{}()=;") && !strings.Contains(l, "base64") }
	digits := func(l string) bool {
		n := 0
		for _, c := range []byte(l) {
			if is(c, classDigit) {
				n++
			}
		}
		return n*3 > len(l)
	}
	prose := filled(b, 1<<20, isProse)
	key := " use sk-ant-" + strings.Repeat("aB3dE", 8) + " now"
	numbers := make([]string, 0, 4000)
	for i := range 4000 {
		numbers = append(numbers, fmt.Sprintf("%d.%06d", i*7919%1000, i*104729%1000000))
	}
	escaped, _ := json.Marshal(string(filled(b, 16<<10, code)))
	rng := rand.New(rand.NewPCG(1, 2))
	blob := []byte(random62(rng, base64s, 64<<10))
	source := sources(b, 128<<10)
	stream := sse("openai", string(prose[:1<<10]), 5)
	long := strings.ReplaceAll(stream, "chatcmpl-1", "chatcmpl-9Xk2LmQ7ZpR4tV8bN1cD3fG5hJ6")
	return []benchBody{
		{"prose_1KB", "text/plain", prose[:1<<10]},
		{"prose_64KB", "text/plain", prose[:64<<10]},
		{"prose_1MB", "text/plain", prose},
		{"talk_of_passwords_16KB", "text/plain", filled(b, 16<<10, isTalk)},
		{"chat_1.5KB", "application/json", chat(b, 1100)},
		{"chat_64KB", "application/json", chat(b, 96<<10)},
		{"chat_256KB", "application/json", chat(b, 384<<10)},
		{"chat_1MB", "application/json", chat(b, 1536<<10)},
		{"code_64KB", "text/plain", filled(b, 64<<10, code)},
		{"code_in_json_16KB", "application/json", escaped},
		{"source_128KB", "text/plain", source},
		{"source_in_json_128KB", "application/json", []byte(`{"messages":[{"role":"user","content":` + quoted(string(source)) + `}]}`)},
		{"digits_64KB", "text/plain", filled(b, 64<<10, digits)},
		{"numbers_json_40KB", "application/json", []byte(`{"embedding":[` + strings.Join(numbers, ",") + `]}`)},
		{"base64_64KB", "application/json", []byte(`{"image_url":{"url":"data:image/png;base64,` + string(blob) + `"}}`)},
		{"sse_openai_32KB", "text/event-stream", []byte(stream)},
		{"sse_openai_long_id_36KB", "text/event-stream", []byte(long)},
		{"sse_anthropic_32KB", "text/event-stream", []byte(sse("anthropic", string(prose[:1<<10]), 5))},
		{"sse_responses_48KB", "text/event-stream", []byte(sse("responses", string(prose[:1<<10]), 5))},
		{"sse_gemini_24KB", "text/event-stream", []byte(sse("gemini", string(prose[:2<<10]), 20))},
		{"ndjson_20KB", "application/x-ndjson", []byte(sse("ndjson", string(prose[:1<<10]), 5))},
		{"chat_1.5KB_one_secret", "application/json", bytes.Replace(chat(b, 1100), []byte("helpful"), []byte(key), 1)},
		{"chat_64KB_one_secret", "application/json", bytes.Replace(chat(b, 64<<10), []byte("helpful"), []byte(key), 1)},
		{"chinese_16KB", "application/json", []byte(`{"a":` + quoted(strings.Repeat("我们的系统支持流式输出，并且可以按团队统计费用。", 230)) + `}`)},
		{"accents_16KB", "application/json", []byte(`{"a":` + quoted(strings.Repeat("Zażółć gęślą jaźń — “quoted” text, déjà vu façade, Съешь же ещё этих мягких. ", 180)) + `}`)},
		{"ascii_escaped_json_16KB", "application/json", []byte(`{"a":"` + strings.Repeat(`caf\u00e9 and some other words here to read, `, 380) + `"}`)},
	}
}

// sources is real code that repeats nothing, the rest of this repository: up to n bytes of it.
func sources(t testing.TB, n int) []byte {
	t.Helper()
	files, err := filepath.Glob("../../*/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "redact") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("Credential=AKI")) {
			continue // not clean
		}
		if b.Write(text); b.Len() >= n {
			return b.Bytes()[:n]
		}
	}
	t.Fatalf("only %d bytes of source", b.Len())
	return nil
}

func BenchmarkBody(b *testing.B) {
	r := newTest(b)
	for _, tc := range benchBodies(b) {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(tc.body)))
			for b.Loop() {
				if _, _, err := r.Body(tc.contentType, tc.body); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(float64(len(tc.body))/1024), "ns/KB")
		})
	}
}

// BenchmarkPlainExpressions is the limit that Body is held against, in the same run: one regular expression of five
// alternatives, as a first attempt at redaction writes it. Body has the whole rule set and four classes of personal data.
func BenchmarkPlainExpressions(b *testing.B) {
	plain := regexp.MustCompile(`sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[a-z]{2,}|\+?[0-9][0-9 -]{8,}[0-9]|password=\S+`)
	for _, tc := range benchBodies(b) {
		b.Run(tc.name, func(b *testing.B) {
			b.SetBytes(int64(len(tc.body)))
			for b.Loop() {
				plain.ReplaceAll(tc.body, []byte("[REDACTED]"))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(float64(len(tc.body))/1024), "ns/KB")
		})
	}
}
