package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
)

// loadConfig reads --config and the flags that override it. A faulty configuration ends with exit code 2.
func loadConfig(cmd *cobra.Command) (config.Config, error) {
	path, _ := cmd.Flags().GetString("config")
	cfg, err := config.Load(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "modeltrail: faulty configuration")
		fmt.Fprintln(os.Stderr, err)
		return cfg, exitError{2}
	}
	if level, _ := cmd.Flags().GetString("log-level"); level != "" {
		cfg.Log.Level = level
	}
	return cfg, nil
}

// newLogger writes to standard error: lines for people on a terminal, JSON elsewhere.
func newLogger(cfg config.Log) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(cfg.Level)
	if err != nil {
		return zerolog.Nop(), fmt.Errorf("log level: %q is not debug, info, warn or error", cfg.Level)
	}
	var out io.Writer = os.Stderr
	if cfg.Format == "console" || cfg.Format == "auto" && isatty.IsTerminal(os.Stderr.Fd()) {
		out = zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: "15:04:05"}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger(), nil
}

// withProcess runs f in a process made from the command's configuration and closes it afterwards.
func withProcess(cmd *cobra.Command, change func(*config.Config), f func(ctx context.Context, p *app.Process) error) error {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	if change != nil {
		change(&cfg)
	}
	log, err := newLogger(cfg.Log)
	if err != nil {
		return err
	}
	p, err := app.New(cfg, log, version)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	err = f(ctx, p)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil // asked to stop while starting
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), app.CloseTimeout)
	defer cancel()
	return errors.Join(err, p.Close(closing))
}
