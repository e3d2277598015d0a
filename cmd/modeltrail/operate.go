package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/schemas/ddl"
)

func newMigrate() *cobra.Command {
	var dryRun, grants, apply bool
	cmd := &cobra.Command{
		Use: "migrate", GroupID: "operate", Short: "Create the topics and bring the ClickHouse tables up to date",
		Long: `migrate creates the topics that are missing, applies the migrations that a database lacks, and publishes the
directory and the price table. It can be repeated: what is there stays. With clickhouse.cluster set, tables are
Replicated and Distributed and every statement runs ON CLUSTER. With --grants it also creates the roles and grants of
--print-grants, for which clickhouse.user needs access management.`,
		Example: "  modeltrail migrate --config modeltrail.yaml\n  modeltrail migrate --dry-run        print the statements\n  modeltrail migrate --print-grants   print roles and grants for a server",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dryRun || grants {
				return printDDL(cmd, grants)
			}
			return withProcess(cmd, nil, func(ctx context.Context, p *app.Process) error {
				if err := p.Migrate(ctx); err != nil {
					return err
				}
				if apply {
					if err := p.ApplyGrants(ctx); err != nil {
						return err
					}
				}
				if err := p.PublishVersions(ctx); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "topics, tables, directory and prices are up to date")
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the statements of all migrations and change nothing")
	cmd.Flags().BoolVar(&apply, "grants", false, "also create roles and grants, on a server with access management")
	cmd.Flags().BoolVar(&grants, "print-grants", false, "print roles and grants for the people who read, and change nothing")
	return cmd
}

func printDDL(cmd *cobra.Command, grants bool) error {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	opt := app.SchemaOptions(cfg)
	if grants {
		text, err := ddl.Grants(opt)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), text)
		return nil
	}
	statements, err := ddl.Render(opt)
	if err != nil {
		return err
	}
	for _, s := range statements {
		fmt.Fprintf(cmd.OutOrStdout(), "%s;\n\n", s.SQL)
	}
	return nil
}

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", GroupID: "operate", Short: "Check, explain and start a configuration"}
	cmd.AddCommand(newConfigCheck(), &cobra.Command{
		Use: "example", Short: "Print a configuration to start from", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Example())
			return err
		},
	}, &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the configuration", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, err := config.JSONSchema()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(schema)
			return err
		},
	}, &cobra.Command{
		Use: "reference", Short: "Print every key with its default and meaning", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			page, err := config.Reference()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(page)
			return err
		},
	})
	return cmd
}

func newConfigCheck() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "check", Short: "Check the configuration and the files it names; print what differs from the defaults",
		Long: `check reads the configuration as every role would, with the directory and the price table that it names, prints the
keys that differ from their defaults, without secrets, and warns of what is legal but unwise. It connects to nothing.

Exit codes: 0 good (also with warnings), 2 faulty.`,
		Example: "  modeltrail config check --config modeltrail.yaml\n  modeltrail config check --all --config modeltrail.yaml   every key that is in force",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if err := app.CheckFiles(cfg); err != nil {
				return err
			}
			effective, err := cfg.Effective(all)
			if err != nil {
				return err
			}
			head := "# what differs from the defaults (--all prints every key)"
			if all {
				head = "# effective configuration"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s", head, effective)
			for _, warning := range cfg.Warnings() {
				fmt.Fprintln(cmd.OutOrStdout(), "# warning:", warning)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "# good")
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "print every key, also those that have their default")
	return cmd
}

func newEngineChild() *cobra.Command {
	return &cobra.Command{
		Use: "engine-child", Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			if code := engine.Main(); code != 0 {
				return exitError{code}
			}
			return nil
		},
	}
}
