// Command plainproxy is what the tap is measured against: httputil.ReverseProxy of the standard library behind the tap's
// server, with nothing else. It prints where it listens and ends when its standard input closes.
//
// It is a program of its own, as the tap is. As a role of the benchmark it was faster than the same proxy in any other
// binary, most likely because processes of one program share its code in the processor's caches and branch predictors, so
// that its net/http was warm from the callers and the provider. No proxy on a machine of its own has that.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"

	"github.com/modeltrail/modeltrail/cmd/internal/bench/tapscene"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "plainproxy:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want the provider's host:port, got %d arguments", len(args))
	}
	target, err := url.Parse("http://" + args[0])
	if err != nil {
		return err
	}
	return tapscene.Serve(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			pr.Out.URL.Path = strings.TrimPrefix(pr.In.URL.Path, "/bench")
		},
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256, MaxIdleConns: 512},
		ErrorLog:  log.New(io.Discard, "", 0),
	})
}
