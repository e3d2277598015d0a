package receive

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/modeltrail/modeltrail/schemas/tlsserver"
)

// ErrDrain means that the receiver stopped at its deadline with requests unfinished. Their senders got no 2xx.
var ErrDrain = errors.New("shutdown deadline passed")

// Server is a receiver that listens. Run serves; it is called once.
type Server struct {
	receiver *Receiver
	listener net.Listener
	http     *http.Server
	draining atomic.Bool
}

// Listen opens receive.listen and builds the receiver. The error names the setting that is wrong.
func Listen(cfg Config, set Settings) (*Server, error) {
	if cfg.Listen == "" {
		return nil, errors.New("receive.listen: name an address such as 127.0.0.1:8081")
	}
	receiver, err := New(cfg, set)
	if err != nil {
		return nil, err
	}
	s := &Server{receiver: receiver}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on receive.listen %s: %w", cfg.Listen, err)
	}
	s.listener = &crowd{Listener: listener, places: make(chan struct{}, cfg.MaxConnections), closed: make(chan struct{})}
	if cfg.TLS.Enabled() {
		secured, err := tlsserver.New(cfg.TLS, tlsserver.Settings{Refused: receiver.refused, Reloaded: receiver.reloaded})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("receive.tls: %w", err), listener.Close())
		}
		// Without ALPN there is HTTP/1.1 only: one request at work per connection.
		s.listener = tls.NewListener(s.listener, secured.TLS())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("/", receiver)
	s.http = &http.Server{
		Handler: mux, MaxHeaderBytes: cfg.MaxHeaderBytes,
		ReadHeaderTimeout: cfg.ReadTimeout / 3, ReadTimeout: cfg.ReadTimeout, IdleTimeout: cfg.IdleTimeout,
		WriteTimeout: cfg.ReadTimeout + 2*cfg.DurableTimeout, // from the header on: arriving, waiting, answering
		ErrorLog:     log.New(quiet{receiver}, "", 0),
	}
	return s, nil
}

// refused counts a client certificate that a handshake refused.
func (r *Receiver) refused(addr, reason string) {
	r.metrics.deny(&denial{unknownSource, reason})
	r.attempts.failed(addr, r.set.Now())
	r.warn.say("denied_"+reason, nil, "a sender did not prove who it is")
}

func (r *Receiver) reloaded(err error) {
	if err != nil {
		r.log.Error().Err(err).Msg("new certificates refused; the ones before stay in force")
		return
	}
	r.log.Info().Msg("new certificates in force")
}

// Addr is the address listened on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends a Server that Run was not called on.
func (s *Server) Close() error { return s.listener.Close() }

// Run serves until ctx ends, then lets running requests finish. ErrDrain means that the deadline came first.
func (s *Server) Run(ctx context.Context) error {
	cfg, logger := s.receiver.cfg, s.receiver.log
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	logger.Info().Str("listen", s.Addr()).Bool("tls", cfg.TLS.Enabled()).Int("sources", len(cfg.Sources)).Msg("receiver started")
	var served error
	select {
	case <-ctx.Done():
	case err := <-failed:
		served = fmt.Errorf("serve requests: %w", err)
	}
	s.draining.Store(true)
	deadline, cancel := context.WithTimeout(context.Background(), cfg.DrainTimeout)
	defer cancel()
	if err := s.http.Shutdown(deadline); err != nil {
		return errors.Join(served, fmt.Errorf("%w: %w", ErrDrain, err), s.http.Close())
	}
	logger.Info().Msg("receiver stopped")
	return served
}

// health answers load balancers. It needs no log-in and tells nothing else.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// quiet passes on what net/http complains of, at level debug: strangers cause most of it.
type quiet struct{ receiver *Receiver }

// Write implements io.Writer.
func (q quiet) Write(p []byte) (int, error) {
	q.receiver.log.Debug().Bytes("reason", bytes.TrimSpace(p)).Msg("connection failed")
	return len(p), nil
}

// crowd is a listener that accepts no more than so many connections at once.
type crowd struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	select {
	case c.places <- struct{}{}:
	case <-c.closed:
		return nil, net.ErrClosed
	}
	conn, err := c.Listener.Accept()
	if err != nil {
		<-c.places
		return nil, err
	}
	return &guest{Conn: conn, leave: sync.OnceFunc(func() { <-c.places })}, nil
}

// Close implements net.Listener.
func (c *crowd) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

// guest frees its place when it is closed.
type guest struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}
