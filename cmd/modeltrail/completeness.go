package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/completeness"
)

func newCompleteness() *cobra.Command {
	var asking *cobra.Command
	asking = completeness.NewCommand(func(ctx context.Context, offline bool) (completeness.Record, *completeness.Lag, time.Duration, func(), error) {
		cfg, err := located(asking)
		if err != nil {
			return completeness.Record{}, nil, 0, nil, err
		}
		record, lag, done, err := app.OpenCompleteness(ctx, cfg, offline)
		return record, lag, cfg.Completeness.SilenceAfter, done, err
	})
	asking.GroupID = "ask"
	return asking
}
