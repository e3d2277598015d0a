// Package tapserver serves the tap: listener, proxy, publisher and their orderly end. Both binaries use it; it links
// neither ClickHouse nor Arrow.
package tapserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/ingest/ledger"
	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/ingest/spool"
	"github.com/modeltrail/modeltrail/ingest/tap"
)

// ErrDrain means that the tap stopped at its deadline with calls or envelopes unfinished.
var ErrDrain = errors.New("shutdown deadline passed")

// Settings is what code supplies.
type Settings struct {
	Tap        tap.Config
	Publish    publish.Config
	Ledger     ledger.Config
	Spool      spool.Config       // without Dir there is none
	Topic      string             // where envelopes go
	Sources    string             // where the source's statements go
	Client     *kgo.Client        // made with Publish.Options and the hook Deliveries; stays the caller's
	Deliveries *ledger.Deliveries // made for Topic
	Statements *kgo.Client        // made with ledger.Options; stays the caller's
	Alone      bool               // the process is only this tap, and its runtime is set up for that
	Version    string
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// Server is a tap that listens. Run serves; it is called once.
type Server struct {
	set       Settings
	log       zerolog.Logger
	listener  net.Listener
	publisher *publish.Publisher
	spool     *spool.Log // nil for none
	ledger    *ledger.Ledger
	tap       *tap.Tap
	proxy     *tap.Proxy
	http      *http.Server
}

// New listens and builds the tap. The error names the setting that is wrong.
func New(set Settings) (*Server, error) {
	if set.Alone {
		tune(set.Tap, set.Publish)
	}
	listener, err := net.Listen("tcp", set.Tap.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on tap.listen %s: %w", set.Tap.Listen, err)
	}
	s := &Server{set: set, log: set.Logger.With().Str("component", "tap").Logger(), listener: listener}
	if err := s.build(); err != nil {
		if s.ledger != nil {
			err = errors.Join(err, s.ledger.Close(context.Background()))
		}
		return nil, errors.Join(err, s.abandon())
	}
	return s, nil
}

func (s *Server) build() (err error) {
	if s.set.Tap.Instance == "" {
		if s.set.Tap.Instance, err = os.Hostname(); err != nil {
			return fmt.Errorf("find tap.instance: %w", err)
		}
	}
	if s.spool, err = openSpool(s.set); err != nil {
		return err
	}
	s.publisher, err = publish.New(s.set.Client, s.set.Publish, publish.Settings{
		Topic: s.set.Topic, Spool: s.spool, GivenUp: s.set.Deliveries.GivenUp, Logger: s.set.Logger, Registerer: s.set.Registerer,
	})
	if err != nil {
		return err
	}
	s.ledger, err = ledger.New(s.set.Ledger, ledger.Settings{
		Kind: "tap", Instance: s.set.Tap.Instance, Version: s.set.Version, Send: ledger.Produce(s.set.Statements, s.set.Sources),
		Tracked: true, Idle: func() bool { return s.publisher.InFlight() == 0 }, Spool: Waiting(s.spool), Logger: s.set.Logger, Registerer: s.set.Registerer,
	})
	if err != nil {
		return err
	}
	s.set.Deliveries.Attach(s.ledger)
	s.tap, err = tap.New(s.set.Tap, tap.Settings{
		Publisher: s.publisher, Ledger: s.ledger, Alone: s.set.Alone, Version: s.set.Version, Logger: s.set.Logger, Registerer: s.set.Registerer,
	})
	if err != nil {
		return err
	}
	s.proxy = tap.NewProxy(s.tap, nil)
	s.http = tap.NewServer(context.Background(), s.proxy)
	return nil
}

// abandon releases what build made before it failed.
func (s *Server) abandon() error {
	errs := []error{s.listener.Close()}
	if s.publisher != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		errs = append(errs, s.publisher.Close(ctx))
	}
	return errors.Join(append(errs, s.closeSpool())...)
}

// tune sets up the runtime of a process that is only a tap; GOMEMLIMIT, GOGC and GOMAXPROCS of the operator win.
//
// Its memory stays near its two configured buffers plus a fixed part, in which what every call leaves behind may gather:
// with 6 MiB of it the collector ran sixty times a second under calls of 256 KB, with 18 MiB ten times. While there is
// room the collector is lazy, since each of its runs meets some call; near the limit it works harder. More goroutines may
// run than there are processors, one for each worker: a thread that gives way to calls may stand still in the middle of its
// work, and would keep them from a processor all the same.
func tune(t tap.Config, p publish.Config) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(t.MaxInFlightBytes+p.MaxBufferedBytes) + 18<<20)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + t.Workers)
	}
}

// Close ends a Server that Run was not called on.
func (s *Server) Close() error {
	s.proxy.Close()
	return errors.Join(s.listener.Close(), s.stopTap())
}

func (s *Server) stopTap() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.set.Tap.DrainTimeout)
	defer cancel()
	return errors.Join(s.tap.Close(ctx), s.publisher.Close(ctx), s.closeSpool(), s.ledger.Close(ctx))
}

// Addr is the address listened on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends, then drains: running calls, envelopes in the tap, envelopes on their way to the broker.
// ErrDrain means that the deadline came first.
func (s *Server) Run(ctx context.Context) error {
	s.ledger.Start()
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	s.log.Info().Str("listen", s.Addr()).Int("routes", len(s.set.Tap.Routes)).Msg("tap started")
	select {
	case <-ctx.Done():
		return s.stop()
	case err := <-failed:
		return errors.Join(fmt.Errorf("serve calls: %w", err), s.stop())
	}
}

func (s *Server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.set.Tap.DrainTimeout)
	defer cancel()
	s.log.Info().Dur("deadline", s.set.Tap.DrainTimeout).Msg("draining")
	errs := []error{s.shutdown(ctx)}
	s.proxy.Close()
	errs = append(errs, s.tap.Close(ctx), s.publisher.Close(ctx), s.closeSpool())
	s.closeLedger(ctx)
	s.log.Info().Uint64("dropped_envelopes", s.tap.Dropped()).Msg("tap stopped")
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrDrain, err)
	}
	return nil
}

// closeLedger says what the tap did. A statement that cannot be sent is no lost call: the next start sends it.
func (s *Server) closeLedger(ctx context.Context) {
	least, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := s.ledger.Close(least); err != nil {
		s.log.Warn().Err(err).Msg("closing statement waits for the next start")
	}
}

// shutdown lets running calls use half of the deadline, then breaks them off, so that their envelopes still go out.
func (s *Server) shutdown(ctx context.Context) error {
	calls, cancel := context.WithTimeout(ctx, s.set.Tap.DrainTimeout/2)
	defer cancel()
	if err := s.http.Shutdown(calls); err != nil {
		_ = s.http.Close()
		time.Sleep(50 * time.Millisecond) // handlers notice and queue their envelopes
		return fmt.Errorf("finish running calls: %w", err)
	}
	return nil
}
