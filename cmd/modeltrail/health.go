package main

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newHealth() *cobra.Command {
	var url string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "health",
		GroupID: "operate",
		Short:   "Ask a running role whether it is ready; exit code 1 when it is not",
		Example: "  modeltrail health --url http://127.0.0.1:9464/readyz",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			request, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url, nil)
			if err != nil {
				return fmt.Errorf("--url: %w", err)
			}
			response, err := (&http.Client{Timeout: timeout}).Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), strings.TrimSpace(string(body)))
			if response.StatusCode != http.StatusOK {
				return exitError{1}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&url, "url", "http://127.0.0.1:9464/readyz", "readiness address of the role")
	cmd.Flags().DurationVar(&timeout, "timeout", 4*time.Second, "limit of the question")
	return cmd
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		GroupID: "operate",
		Short:   "Print version, Go version and platform",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintf(cmd.OutOrStdout(), "modeltrail %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, m := range info.Deps {
					switch m.Path {
					case "github.com/twmb/franz-go", "github.com/ClickHouse/clickhouse-go/v2":
						fmt.Fprintf(cmd.OutOrStdout(), "  %s %s\n", m.Path, m.Version)
					}
				}
			}
			return nil
		},
	}
}
