// Command modeltrail is every role of ModelTrail in one binary: `modeltrail up` runs them all on an embedded
// broker and an embedded ClickHouse; the same roles run apart against a Kafka cluster and a ClickHouse cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/completeness"
	"github.com/modeltrail/modeltrail/cmd/internal/querycmd"
)

// version is set by the linker.
var version = "dev"

// exitError ends the program with a code of its own; the message has been printed.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit %d", e.code) }

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newRoot().ExecuteContext(ctx)
	var exit exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	}
	fmt.Fprintln(os.Stderr, "modeltrail:", err)
	switch {
	case errors.Is(err, app.ErrConfig), errors.Is(err, querycmd.ErrUsage), errors.Is(err, completeness.ErrUsage), errors.Is(err, errUsage):
		return 2
	case errors.Is(err, querycmd.ErrExpectation), errors.Is(err, completeness.ErrIncomplete):
		return 3
	}
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "modeltrail",
		Short: "Audit trail and analytics behind an AI gateway",
		Long: `ModelTrail records who called which model, with which credential, for which team and purpose, under which
policy, what it cost and what was unusual.

Start here:
  modeltrail up --demo        everything on this machine, with demo traffic
  modeltrail query --list     the questions it answers
  modeltrail tail             calls as they happen
  modeltrail completeness     is the record complete?
  modeltrail config example   a configuration to start from

Exit codes: 0 done, 1 failed, 2 wrong usage or faulty configuration, 3 an expectation was not met: a query's --expect, a record
that is not complete, records that dlq replay or backfill refused.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		fmt.Fprintf(os.Stderr, "modeltrail: %v\nSee `%s --help`.\n", err, cmd.CommandPath())
		return exitError{2}
	})
	root.PersistentFlags().StringP("config", "c", "", "configuration file (YAML); defaults apply without it")
	root.PersistentFlags().String("log-level", "", "debug, info, warn or error; overrides log.level")
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "ask", Title: "Ask:"},
		&cobra.Group{ID: "repair", Title: "Repair:"},
		&cobra.Group{ID: "operate", Title: "Operate:"},
	)
	root.AddCommand(newUp(), newTap(), newReceive(), newStore(), newEnrich(), newDetect(), newAlert())
	root.AddCommand(newQuery(), newTail(), newCompleteness())
	root.AddCommand(newReplay(), newDLQ(), newBackfill())
	root.AddCommand(newMigrate(), newConfig(), newHealth(), newDecrypt(), newVersion(), newEngineChild())
	root.SetHelpCommandGroupID("operate")
	root.SetCompletionCommandGroupID("operate")
	return root
}
