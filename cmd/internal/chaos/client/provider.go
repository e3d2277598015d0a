// Package client is the two ends of a call that goes through a tap: a caller that writes down every answer it got
// completely, and a provider that answers as the workload says.
package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

// headerID names the call to the provider.
const headerID = "X-Request-Id"

// Serve answers calls of a workload on an address until ctx ends.
func Serve(ctx context.Context, w *workload.Workload, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		i := w.IndexOf(r.Header.Get(headerID))
		if i < 0 {
			http.NotFound(out, r)
			return
		}
		c := w.Call(i)
		answer(out, &c)
	})}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(out http.ResponseWriter, c *workload.Call) {
	if c.Kind == workload.Refused {
		panic(http.ErrAbortHandler) // the connection breaks before a head
	}
	out.Header().Set("Content-Type", c.ContentType())
	if c.Kind == workload.Limited {
		out.WriteHeader(http.StatusTooManyRequests)
	}
	body := c.ResponseBody()
	if !c.Streamed() {
		_, _ = out.Write(body)
		return
	}
	for frame := range bytes.SplitAfterSeq(body, []byte("\n\n")) {
		_, _ = out.Write(frame)
		_ = http.NewResponseController(out).Flush()
		time.Sleep(2 * time.Millisecond)
	}
	if c.Kind == workload.Broken {
		panic(http.ErrAbortHandler)
	}
}
