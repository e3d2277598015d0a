package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/modeltrail/modeltrail/cmd/internal/bench/tapscene"
)

// runRole is one child process.
func runRole(role string, args []string) error {
	switch role {
	case "provider":
		size, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return tapscene.Serve(provider(size))
	case "broker":
		port, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return tapscene.Broker(kfake.Ports(port), kfake.DataDir(args[0]))
	}
	return fmt.Errorf("unknown role %q", role)
}

// provider answers every call with a completion of the given size.
func provider(size int) http.HandlerFunc {
	body := completion(size)
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
}

func completion(size int) []byte {
	const head = `{"id":"chatcmpl-1","object":"chat.completion","created":1760000000,"model":"gpt-5","choices":[{"index":0,"message":{"role":"assistant","content":"`
	const tail = `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":120,"completion_tokens":200,"total_tokens":320}}`
	return []byte(head + prose(size-len(head)-len(tail)) + tail)
}

func question(size int) []byte {
	const head, tail = `{"model":"gpt-5","messages":[{"role":"user","content":"`, `"}]}`
	return []byte(head + prose(size-len(head)-len(tail)) + tail)
}

func prose(size int) string {
	const text = "a river carries small stones from high hills to wide plains where towns grow and people measure rain with care "
	return strings.Repeat(text, max(size, 0)/len(text)+1)[:max(size, 0)]
}
