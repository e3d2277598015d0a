// Command modeltrail-tap is the tap alone: a small static binary that stands between clients and providers, relays
// calls unchanged and publishes two envelopes per call to Kafka.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/modeltrail/modeltrail/cmd/internal/tapserver"
)

// version is set at build time with -ldflags "-X main.version=...".
var version = "dev"

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it ran and broke
	exitUsage  = 2 // flags or configuration are wrong
	exitDrain  = 3 // it stopped, but calls or envelopes were lost at the deadline
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(os.Stderr, "modeltrail-tap:", err)
	switch {
	case errors.Is(err, tapserver.ErrDrain):
		return exitDrain
	case errors.Is(err, errServe):
		return exitFailed
	}
	return exitUsage
}
