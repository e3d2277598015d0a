package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/modeltrail/modeltrail/ingest/tap"
	"github.com/modeltrail/modeltrail/schemas/event"
)

const roleFlag = "-role"

// runRole is one child process: it prints its address and serves until its standard input closes.
func runRole(role string, args []string) error {
	switch role {
	case "provider":
		size, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return serve(provider(size))
	case "plain":
		target, err := url.Parse(args[0])
		if err != nil {
			return err
		}
		return serve(&httputil.ReverseProxy{
			Rewrite: func(pr *httputil.ProxyRequest) {
				pr.SetURL(target)
				pr.Out.URL.Path = strings.TrimPrefix(pr.In.URL.Path, "/bench")
			},
			Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256, MaxIdleConns: 512},
			ErrorLog:  log.New(io.Discard, "", 0),
		})
	case "broker":
		port, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(args[0]), kfake.SeedTopics(2, event.TopicEnvelopes))
		if err != nil {
			return err
		}
		defer cluster.Close()
		fmt.Println(cluster.ListenAddrs()[0])
		_, _ = io.Copy(io.Discard, os.Stdin)
		return nil
	}
	return fmt.Errorf("unknown role %q", role)
}

func serve(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := tap.NewServer(context.Background(), h) // the same server for all, so that only the proxies differ
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	fmt.Println(l.Addr().String())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
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
