package querycmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/queries"
)

// Stream is what `modeltrail tail` reads: a client without a group and without topics of its own, and the names of
// the topics. The command closes the client.
type Stream struct {
	Client   *kgo.Client
	Events   string // topic of enriched events
	Findings string // topic of findings
}

// OpenStream connects to Kafka.
type OpenStream func(ctx context.Context) (Stream, error)

// tailFlags are the flags of `modeltrail tail`.
type tailFlags struct {
	filter   filter
	from     string
	json     bool
	color    string
	max      int64
	requests bool
}

const tailLong = `Show calls as they are decoded, priced and judged, one line each: time, team, application, provider and model,
HTTP status, tokens in and out, cost, policy decision and time to first token. "-" is an unknown value.

With findings as the argument, show what the detectors conclude instead; with all, both. Reading changes nothing: no
consumer group is joined and no offset is committed. Stop with Ctrl-C.`

const tailExample = `  modeltrail tail
  modeltrail tail --team payments --denied
  modeltrail tail --model 'gpt-5*' --from 10m
  modeltrail tail findings --from 24h
  modeltrail tail all --json | jq -c '{team: .identity.team_id, cost: .cost}'`

// NewTail returns the command `tail`.
func NewTail(open OpenStream) *cobra.Command {
	var flags tailFlags
	cmd := &cobra.Command{
		Use:       "tail [calls|findings|all]",
		Short:     "Show calls or findings as they happen",
		Long:      tailLong,
		Example:   tailExample,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"calls", "findings", "all"},
		RunE: func(cmd *cobra.Command, args []string) error {
			what := "calls"
			if len(args) == 1 {
				what = args[0]
			}
			return runTail(cmd.Context(), cmd.OutOrStdout(), what, flags, open)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.filter.team, "team", "", "only this team; a trailing * matches every ending, here and below")
	f.StringVar(&flags.filter.app, "app", "", "only this application")
	f.StringVar(&flags.filter.model, "model", "", "only this model, as asked or as answered")
	f.BoolVar(&flags.filter.denied, "denied", false, "only calls outside their policy")
	f.BoolVar(&flags.requests, "requests", false, "also show calls when they are asked, before they are answered")
	f.StringVar(&flags.from, "from", "", "begin this long ago (10m, 24h, 7d) or at this time; default: now")
	f.Int64VarP(&flags.max, "max", "n", 0, "stop after this many lines; 0 goes on")
	f.BoolVar(&flags.json, "json", false, "print each event as one line of JSON (protobuf's mapping)")
	f.StringVar(&flags.color, "color", "auto", "auto, always or never")
	return cmd
}

func runTail(ctx context.Context, w io.Writer, what string, flags tailFlags, open OpenStream) error {
	start, err := startTime(flags.from, time.Now())
	if err != nil {
		return err
	}
	show, err := flags.printer(w)
	if err != nil {
		return err
	}
	stream, err := open(ctx)
	if err != nil {
		return fmt.Errorf("connect to kafka: %w", err)
	}
	defer stream.Client.Close()
	var topics []string
	if what != "findings" {
		topics = append(topics, stream.Events)
	}
	if what != "calls" {
		topics = append(topics, stream.Findings)
	}
	if err := assign(ctx, stream.Client, start, topics); err != nil {
		return err
	}
	return follow(ctx, stream, flags, show)
}

// startTime reads --from: an age or a time. The zero time means the end of each partition.
func startTime(from string, now time.Time) (time.Time, error) {
	if from == "" {
		return time.Time{}, nil
	}
	if age, err := queries.ParseAge(from); err == nil {
		return now.Add(-age), nil
	}
	at, err := queries.ParseTime(from, now)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: --from is %q; use an age (10m, 24h, 7d) or a time (2026-03-01T12:00:00Z)", ErrUsage, from)
	}
	return at, nil
}

// assign lets the client consume all partitions of the topics from the given time on.
func assign(ctx context.Context, client *kgo.Client, start time.Time, topics []string) error {
	admin := kadm.NewClient(client)
	var listed kadm.ListedOffsets
	var err error
	if start.IsZero() {
		listed, err = admin.ListEndOffsets(ctx, topics...)
	} else {
		listed, err = admin.ListOffsetsAfterMilli(ctx, start.UnixMilli(), topics...)
	}
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return fmt.Errorf("list offsets: %w", err)
	}
	client.AddConsumePartitions(listed.KOffsets())
	return nil
}

// follow prints records until the context ends, which is the ordinary end, or enough lines are out.
func follow(ctx context.Context, stream Stream, flags tailFlags, show *printer) error {
	var lines int64
	for {
		fetches := stream.Client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		for _, failure := range fetches.Errors() {
			if !errors.Is(failure.Err, context.Canceled) {
				return fmt.Errorf("read topic %s: %w", failure.Topic, failure.Err)
			}
		}
		for records := fetches.RecordIter(); !records.Done(); {
			record := records.Next()
			printed, err := flags.print(record, record.Topic == stream.Findings, show)
			if err != nil {
				return err
			}
			if printed {
				lines++
			}
			if flags.max > 0 && lines >= flags.max {
				return nil
			}
		}
	}
}

// print decodes one record and prints it when it passes the filter.
func (f tailFlags) print(record *kgo.Record, isFinding bool, show *printer) (bool, error) {
	if isFinding {
		var finding event.Finding
		if err := finding.UnmarshalVT(record.Value); err != nil {
			return false, fmt.Errorf("decode finding at %s/%d/%d: %w", record.Topic, record.Partition, record.Offset, err)
		}
		if !f.filter.finding(&finding) {
			return false, nil
		}
		return true, show.finding(&finding)
	}
	var e event.Event
	if err := e.UnmarshalVT(record.Value); err != nil {
		return false, fmt.Errorf("decode event at %s/%d/%d: %w", record.Topic, record.Partition, record.Offset, err)
	}
	if (e.GetPhase() == event.Phase_PHASE_REQUEST && !f.requests) || !f.filter.event(&e) {
		return false, nil
	}
	return true, show.event(&e)
}
