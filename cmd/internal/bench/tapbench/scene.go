package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/modeltrail/modeltrail/cmd/internal/bench/tapscene"
)

// scene is the set of processes.
type scene struct {
	*tapscene.Scene
	tap     *tapscene.Tap
	targets []target
}

// target is one way to the provider. The control is a second plain proxy: what it seems to add is the error of the
// measurement, since nothing but chance tells it from the first.
type target struct {
	name   string
	base   string
	client *http.Client
}

func startScene(ctx context.Context, cfg config) (*scene, error) {
	base, err := tapscene.New("tapbench")
	if err != nil {
		return nil, err
	}
	s := &scene{Scene: base}
	if err := s.start(ctx, cfg); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *scene) start(ctx context.Context, cfg config) error {
	provider, err := s.Role("provider")
	if err != nil {
		return err
	}
	plain, err := s.PlainProxy(ctx, provider)
	if err != nil {
		return err
	}
	control, err := s.PlainProxy(ctx, provider)
	if err != nil {
		return err
	}
	broker, err := s.Role("broker")
	if err != nil {
		return err
	}
	s.tap, err = s.StartTap(ctx, cfg.tap, provider, broker, os.Stderr, "--capture", cfg.capture, "--log-level", "warn")
	if err != nil {
		return err
	}
	for _, t := range []target{
		{name: "direct", base: "http://" + provider.Addr},
		{name: "plain", base: "http://" + plain.Addr + "/bench"},
		{name: "control", base: "http://" + control.Addr + "/bench"},
		{name: "tap", base: s.tap.URL},
	} {
		t.client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256, MaxIdleConns: 512}}
		s.targets = append(s.targets, t)
	}
	return nil
}

// report prints the tap's memory and the balance of its envelopes.
func (s *scene) report(out io.Writer) error {
	peak, now, err := s.tap.Memory()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\ntap resident: %.1f MiB, %.1f MiB at most\n", now, peak)
	lines, err := s.tap.Metrics()
	for _, line := range lines {
		if !strings.HasSuffix(line, " 0") {
			fmt.Fprintln(out, line)
		}
	}
	return err
}
