package querycmd

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/shopspring/decimal"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/modeltrail/modeltrail/cmd/internal/output"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// picoDigits is the number of decimal places of the money in an event: 1e-12 USD.
const picoDigits = 12

// printer writes one line for each event.
type printer struct {
	w     io.Writer
	json  bool
	color bool
}

func (f tailFlags) printer(w io.Writer) (*printer, error) {
	p := &printer{w: w, json: f.json}
	switch f.color {
	case "auto":
		p.color = isTerminal(w)
	case "always":
		p.color = true
	case "never":
	default:
		return nil, fmt.Errorf("%w: --color is %q; use auto, always or never", ErrUsage, f.color)
	}
	return p, nil
}

func (p *printer) event(e *event.Event) error {
	if p.json {
		return p.message(e)
	}
	at := time.Unix(0, int64(e.GetObservedUnixNano())).UTC() //nolint:gosec // nanoseconds until 2262
	call, usage, price := orEmpty(e.Call), orEmpty(e.Usage), orEmpty(e.Cost)
	model := call.GetResponseModel()
	if model == "" {
		model = call.GetRequestModel()
	}
	return p.line(
		at.Format("15:04:05.000"),
		pad(orDash(e.GetIdentity().GetTeamId()), 14),
		pad(orDash(e.GetIdentity().GetAppId()), 16),
		pad(orDash(call.GetProvider())+"/"+orDash(model), 34),
		p.status(e),
		fmt.Sprintf("%8s in %7s out", count(usage.InTotal), count(usage.OutTotal)),
		fmt.Sprintf("%12s", cost(price.TotalPicoUsd)),
		p.decision(e),
		"ttft "+millis(call.TimeToFirstTokenNs),
		e.GetCallId(),
	)
}

func (p *printer) finding(x *event.Finding) error {
	if p.json {
		return p.message(x)
	}
	at := time.Unix(0, int64(x.GetDetectedUnixNano())).UTC() //nolint:gosec // nanoseconds until 2262
	severity := strings.ToLower(strings.TrimPrefix(x.GetSeverity().String(), "SEVERITY_"))
	colors := text.Colors{text.FgYellow}
	if x.GetSeverity() >= event.Severity_SEVERITY_HIGH {
		colors = text.Colors{text.FgRed, text.Bold}
	}
	return p.line(
		at.Format("15:04:05.000"),
		p.paint(pad(severity, 13), colors),
		pad(orDash(x.GetDetector()), 16),
		pad(orDash(x.GetTeamId()), 14),
		output.Visible(x.GetTitle()),
		orDash(x.GetCallId()),
	)
}

// status is the HTTP status, or how the answer ended when it did not end well.
func (p *printer) status(e *event.Event) string {
	if e.GetPhase() == event.Phase_PHASE_REQUEST {
		return pad("asked", 14)
	}
	label := strconv.Itoa(int(e.GetHttpStatus()))
	switch e.GetCall().GetOutcome() {
	case event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT:
		label += " client left"
	case event.StreamOutcome_STREAM_OUTCOME_UPSTREAM_ABORT:
		label += " broke off"
	case event.StreamOutcome_STREAM_OUTCOME_NO_RESPONSE:
		label = "no answer"
	}
	if e.GetHttpStatus() >= 200 && e.GetHttpStatus() < 300 && len(label) == 3 {
		return p.paint(pad(label, 14), text.Colors{text.FgGreen})
	}
	return p.paint(pad(label, 14), text.Colors{text.FgRed})
}

func (p *printer) decision(e *event.Event) string {
	switch e.GetPolicy().GetDecision() {
	case event.PolicyDecision_POLICY_DECISION_ALLOW:
		return pad("allow", 24)
	case event.PolicyDecision_POLICY_DECISION_DENY:
		return p.paint(pad("DENY "+e.GetPolicy().GetRule(), 24), text.Colors{text.FgRed, text.Bold})
	case event.PolicyDecision_POLICY_DECISION_NO_POLICY:
		return p.paint(pad("no policy", 24), text.Colors{text.FgYellow})
	}
	return pad("-", 24)
}

func (p *printer) line(fields ...string) error {
	_, err := io.WriteString(p.w, strings.Join(fields, "  ")+"\n")
	return err
}

func (p *printer) message(m proto.Message) error {
	line, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	_, err = p.w.Write(append(line, '\n'))
	return err
}

func (p *printer) paint(s string, colors text.Colors) string {
	if !p.color {
		return s
	}
	return colors.EscapeSeq() + s + text.Reset.EscapeSeq()
}

// pad makes text from outside fit a column: control characters shown, too long cut with a mark.
func pad(s string, width int) string {
	return text.Pad(text.Snip(output.Visible(s), width, "…"), width, ' ')
}

// orEmpty makes the optional fields of an absent message read as absent.
func orEmpty[T any](m *T) *T {
	if m == nil {
		return new(T)
	}
	return m
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return output.Visible(s)
}

func count(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

func cost(pico *int64) string {
	if pico == nil {
		return "-"
	}
	return "$" + decimal.New(*pico, -picoDigits).StringFixed(6)
}

func millis(ns *int64) string {
	if ns == nil {
		return fmt.Sprintf("%9s", "-")
	}
	return fmt.Sprintf("%6d ms", time.Duration(*ns).Milliseconds())
}
