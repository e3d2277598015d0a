package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/modeltrail/modeltrail/cmd/internal/bench/tapscene"
)

// scene is the set of processes.
type scene struct {
	*tapscene.Scene
	broker   *tapscene.Child
	tap      *tapscene.Tap
	plainURL string
}

func startScene(ctx context.Context, cfg config) (*scene, error) {
	base, err := tapscene.New("outage")
	if err != nil {
		return nil, err
	}
	s := &scene{Scene: base}
	if err := s.start(ctx, cfg); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *scene) start(ctx context.Context, cfg config) error {
	provider, err := s.Role("provider", strconv.Itoa(cfg.size))
	if err != nil {
		return err
	}
	plain, err := s.PlainProxy(ctx, provider)
	if err != nil {
		return err
	}
	s.plainURL = "http://" + plain.Addr + "/bench"
	addr, err := tapscene.FreeAddress()
	if err != nil {
		return err
	}
	if err := s.startBroker(addr); err != nil {
		return err
	}
	// A long outage may need more than the default bound: rate x 2 envelopes x about 2.2 KB x time.
	file := filepath.Join(s.Dir, "tap.yaml")
	text := fmt.Sprintf("tap: {durability: %s}\nspool: {dir: %s, max_bytes: %d}\n", cfg.durability, filepath.Join(s.Dir, "spool"), int64(16)<<30)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.Dir, "tap.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the tap has it
	s.tap, err = s.StartTap(ctx, cfg.tap, provider, s.broker, log, "--config", file, "--log-level", "info")
	return err
}

// startBroker starts the broker with its folder at an address.
func (s *scene) startBroker(addr string) (err error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	s.broker, err = s.Role("broker", filepath.Join(s.Dir, "broker"), port)
	return err
}
