// Command storebench measures the role store: how many calls one core-second of its own CPU turns from envelopes
// in Kafka into committed rows in every table.
//
// The broker (kfake with a data folder), the engine (the embedded ClickHouse) and the measured program run in
// processes of their own; the measured program is this binary again, and its CPU is what getrusage says of it,
// start-up included. Beside the store it measures a bare consume of the same topic and a bare insert of blocks
// that were built before, so that the figure can be read as a share of what the clients alone cost.
//
//	go run ./cmd/internal/bench/storebench -calls 300000
//	go run ./cmd/internal/bench/storebench -calls 500000 -only store -refused 100 -undecodable 1000
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
)

// options are the flags; the measured processes get them as JSON.
type options struct {
	Calls      int
	Partitions int
	Rows       int // of one batch
	Dir        string
	InstallDir string
	Keep       bool
	Procs      int // GOMAXPROCS of the measured process
	CPUProfile string
	Runs       int
	Only       string
	GOGC       string // of the measured process
	MemLimit   string
	Refused    int // calls whose rows the server refuses
	Unread     int // records that are no envelopes
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "engine-child":
			os.Exit(engine.Main())
		case "broker":
			exit(serveBroker(os.Args[2]))
			return
		case "measure":
			exit(measured(os.Args[2], os.Args[3]))
			return
		}
	}
	var o options
	flag.IntVar(&o.Calls, "calls", 300_000, "calls in the topic; each is two envelopes")
	flag.IntVar(&o.Partitions, "partitions", 8, "partitions of the topic")
	flag.IntVar(&o.Rows, "rows", 10_000, "envelopes of one batch")
	flag.StringVar(&o.Dir, "dir", "", "folder for the broker's and the engine's data; default a temporary one")
	flag.StringVar(&o.InstallDir, "install", defaultInstall(), "folder of the installed ClickHouse library")
	flag.BoolVar(&o.Keep, "keep", false, "keep the data folder and reuse its topic")
	flag.IntVar(&o.Procs, "procs", 2, "GOMAXPROCS of the measured process")
	flag.StringVar(&o.CPUProfile, "cpuprofile", "", "write a CPU profile of the store to this file")
	flag.IntVar(&o.Runs, "runs", 1, "repetitions of each measurement")
	flag.StringVar(&o.GOGC, "gogc", "400", "GOGC of the measured process")
	flag.StringVar(&o.MemLimit, "memory-limit", "230MiB", "GOMEMLIMIT of the measured process")
	flag.IntVar(&o.Refused, "refused", 0, "calls, evenly spread, whose rows a constraint refuses")
	flag.IntVar(&o.Unread, "undecodable", 0, "records, evenly spread, that are no envelopes")
	flag.StringVar(&o.Only, "only", "", "measure only store, consume or insert")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, o, zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr}).With().Timestamp().Logger()))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "storebench:", err)
		os.Exit(1)
	}
}

func defaultInstall() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "modeltrail", "engine")
}
