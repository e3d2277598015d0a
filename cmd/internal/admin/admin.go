// Package admin serves what operators look at: /healthz, /readyz, /metrics and, only when asked for, /debug/pprof.
package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config is the `admin` section of the configuration.
type Config struct {
	Listen string `yaml:"listen" json:"listen" jsonschema_description:"Address of health, readiness and metrics, host:port. Empty switches it off. Default 127.0.0.1:9464."`
	Pprof  bool   `yaml:"pprof" json:"pprof" jsonschema_description:"Serve Go profiles below /debug/pprof. They can reveal memory contents. Default false."`
}

// DefaultConfig returns the defaults: loopback only, no profiles.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:9464"} }

// Validate reports every fault of the section.
func (c Config) Validate() error {
	if c.Listen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("admin.listen: %q is not host:port", c.Listen)
	}
	return nil
}

// Check tells whether one part is ready; nil means yes. It must return within the context's deadline.
type Check func(ctx context.Context) error

// Server is the admin endpoint. Its methods are safe for concurrent use.
type Server struct {
	http     *http.Server
	listener net.Listener
	mu       sync.Mutex
	checks   map[string]Check
}

// Start listens and serves until Close. With an empty Listen it returns a Server that serves nothing.
func Start(cfg Config, gatherer prometheus.Gatherer) (*Server, error) {
	s := &Server{checks: map[string]Check{}}
	if cfg.Listen == "" {
		return s, nil
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on admin.listen %s: %w", cfg.Listen, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	if cfg.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	s.listener = listener
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() { _ = s.http.Serve(listener) }()
	return s, nil
}

// Addr is the address listened on, "" when switched off.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// AddCheck makes readiness depend on a part.
func (s *Server) AddCheck(name string, check Check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks[name] = check
}

// Close stops serving.
func (s *Server) Close(ctx context.Context) error {
	if s.http == nil {
		return nil
	}
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	s.mu.Lock()
	checks := make(map[string]Check, len(s.checks))
	for name, check := range s.checks {
		checks[name] = check
	}
	s.mu.Unlock()
	var errs []error
	for name, check := range checks {
		if err := check(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
