package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/bench/tapscene"
)

const frames = 64

// runRole is one child process.
func runRole(role string) error {
	switch role {
	case "provider":
		return tapscene.Serve(provider(bodies()))
	case "broker":
		return tapscene.Broker()
	case "spin":
		return tapscene.Spin()
	}
	return fmt.Errorf("unknown role %q", role)
}

// bodies are chat completions of about the asked sizes, made of words as prose is.
func bodies() map[string][]byte {
	out := map[string][]byte{}
	for _, size := range sizes() {
		out[strconv.Itoa(size)] = completion(size)
	}
	return out
}

func sizes() []int { return []int{1 << 10, 16 << 10, 256 << 10, 1_000_000} }

func words(random *rand.Rand, size int) string {
	list := strings.Fields("the model answers that a river carries small stones from high hills to wide plains where towns grow " +
		"and people measure rain with care because harvest depends on water light and patience over many years")
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(list[random.IntN(len(list))])
		b.WriteByte(' ')
	}
	return b.String()[:size]
}

func completion(size int) []byte {
	const head = `{"id":"chatcmpl-1","object":"chat.completion","created":1760000000,"model":"gpt-5","choices":[{"index":0,"message":{"role":"assistant","content":"`
	const tail = `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":120,"completion_tokens":200,"total_tokens":320}}`
	random := rand.New(rand.NewPCG(1, uint64(size)))
	return []byte(head + words(random, size-len(head)-len(tail)) + tail)
}

// provider answers /json/SIZE with a whole body and /sse/GAP with 64 frames that carry the moment of their sending.
func provider(whole map[string][]byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		kind, arg, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if kind == "json" {
			body := whole[arg]
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body)
			return
		}
		gap, err := time.ParseDuration(arg)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		stream(w, gap)
	}
}

func stream(w http.ResponseWriter, gap time.Duration) {
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	random := rand.New(rand.NewPCG(2, 3))
	for range frames {
		time.Sleep(gap)
		frame := fmt.Appendf(nil, `data: {"t":%d,"choices":[{"index":0,"delta":{"content":%q}}]}`+"\n\n", time.Now().UnixNano(), words(random, 40))
		_, _ = w.Write(frame)
		_ = rc.Flush()
	}
}

// sentAt reads the moment out of a frame.
func sentAt(line string) (int64, bool) {
	rest, ok := strings.CutPrefix(line, `data: {"t":`)
	if !ok {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, ",")
	at, err := strconv.ParseInt(number, 10, 64)
	return at, err == nil
}
