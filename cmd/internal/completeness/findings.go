package completeness

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/processors/detect"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// Names of the checker's findings, in the field detector.
const (
	FindingMissing    = "missing_range"
	FindingDropped    = "dropped_envelopes"
	FindingSilent     = "source_silent"
	FindingKeyChanged = "source_key_changed"
	FindingInvalid    = "statement_invalid"
)

// maxRanges bounds the ranges that a finding lists.
const maxRanges = 20

// version of the texts and keys below.
const findingVersion = "1"

const layout = "2006-01-02 15:04:05 UTC"

// about starts a finding of a source. The key's parts make it stable: equal conclusions are one finding.
func about(name string, s Source, severity event.Severity, at time.Time, key ...string) *event.Finding {
	nano := uint64(max(at.UnixNano(), 0))
	f := &event.Finding{
		SchemaVersion: event.SchemaVersion, Detector: name, DetectorVersion: findingVersion, Severity: severity,
		Key:               detect.Key(append([]string{name, s.Kind, s.Instance}, key...)...),
		FirstSeenUnixNano: nano, LastSeenUnixNano: nano, DetectedUnixNano: nano,
	}
	note(f, "source_kind", label(s.Kind))
	note(f, "source_instance", label(s.Instance))
	return f
}

func note(f *event.Finding, key, value string) {
	f.Evidence = append(f.Evidence, &event.Attribute{Key: key, Value: value})
}

// label bounds a name that a source chose and keeps control characters out of terminals and tickets.
func label(s string) string {
	s = strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
	if runes := []rune(s); len(runes) > 96 {
		return string(runes[:96]) + "…"
	}
	return s
}

func hourName(t time.Time) string {
	if t.IsZero() {
		return "other hours"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func hourKey(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.Unix(), 10)
}

// missingFinding tells which sequences of an epoch's hour no row has.
func missingFinding(g Gap, ranges []Range, now time.Time) *event.Finding {
	boot := strconv.FormatUint(g.Boot, 10)
	f := about(FindingMissing, g.Source, event.Severity_SEVERITY_HIGH, now, boot, hourKey(g.Hour))
	f.Title = fmt.Sprintf("%d envelopes of %s are missing in the record", g.Count, label(g.Instance))
	f.Description = fmt.Sprintf("Source %s %s (boot %s) numbered %d envelopes of the hour %s that Kafka acknowledged and that have no row, "+
		"though the role store has consumed everything up to then. They were lost between the topic and the table, or removed from one of them. "+
		"Compare the partitions with `modeltrail query offset-gaps`, look for dead letters without a source, and replay the span if Kafka still has it.",
		label(g.Kind), label(g.Instance), boot, g.Count, hourName(g.Hour))
	note(f, "source_epoch", boot)
	note(f, "hour", hourName(g.Hour))
	note(f, "missing", strconv.FormatUint(g.Count, 10))
	if len(ranges) > 0 {
		shown := ranges[:min(len(ranges), maxRanges)]
		note(f, "first_missing", strconv.FormatUint(ranges[0].First, 10))
		note(f, "last_missing", strconv.FormatUint(ranges[len(ranges)-1].Last, 10))
		note(f, "ranges", rangesText(shown))
		if len(ranges) > len(shown) {
			note(f, "more_ranges", "true")
		}
	}
	if g.Others > 0 {
		note(f, "explained_in_the_same_hour", strconv.FormatUint(g.Others, 10))
	}
	return f
}

func rangesText(ranges []Range) string {
	parts := make([]string, 0, len(ranges))
	for _, r := range ranges {
		if r.First == r.Last {
			parts = append(parts, strconv.FormatUint(r.First, 10))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", r.First, r.Last))
		}
	}
	return strings.Join(parts, ", ")
}

// reasonsText is "crash 12, memory 3", the largest first.
func reasonsText(counts map[string]uint64) string {
	names := make([]string, 0, len(counts))
	for name, n := range counts {
		if n > 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", label(name), counts[name])
	}
	return strings.Join(names, ", ")
}

// droppedFinding tells what a source gave up in an hour, and why.
func droppedFinding(h Hour, now time.Time) *event.Finding {
	f := about(FindingDropped, h.Source, event.Severity_SEVERITY_MEDIUM, now, hourKey(h.Hour))
	count := total(h.Dropped)
	f.Title = fmt.Sprintf("%s gave up %d envelopes: %s", label(h.Instance), count, reasonsText(h.Dropped))
	f.Description = fmt.Sprintf("Source %s %s gave up %d envelopes of the hour %s (%s). The calls went through; their record has a counted gap. "+
		"memory and refused: raise tap.max_in_flight_bytes or publish.max_buffered_bytes, or give the source a spool. crash: the process was killed; "+
		"look for its cause in the system's log.", label(h.Kind), label(h.Instance), count, hourName(h.Hour), reasonsText(h.Dropped))
	note(f, "hour", hourName(h.Hour))
	note(f, "dropped", strconv.FormatUint(count, 10))
	note(f, "reasons", reasonsText(h.Dropped))
	return f
}

// silentFinding tells of a source that should speak; resolved, with the same key, that it speaks again.
func silentFinding(h Head, now time.Time, resolved bool) *event.Finding {
	severity := event.Severity_SEVERITY_HIGH
	if resolved {
		severity = event.Severity_SEVERITY_INFORMATIONAL
	}
	boot := strconv.FormatUint(h.Boot, 10)
	f := about(FindingSilent, h.Source, severity, now, boot, strconv.FormatUint(h.Statement, 10))
	f.FirstSeenUnixNano = uint64(max(h.Heard.UnixNano(), 0))
	f.Title = fmt.Sprintf("Source %s has fallen silent", label(h.Instance))
	f.Description = fmt.Sprintf("Source %s %s (boot %s) made its last statement at %s and did not stop in order. Calls may pass it unrecorded, or it is cut off "+
		"from Kafka and keeps them. Look whether its process runs and reaches the brokers.", label(h.Kind), label(h.Instance), boot, h.Heard.UTC().Format(layout))
	if resolved {
		f.Title = fmt.Sprintf("Source %s speaks again", label(h.Instance))
		f.Description = fmt.Sprintf("Source %s %s was silent from %s to %s.", label(h.Kind), label(h.Instance), h.Heard.UTC().Format(layout), now.UTC().Format(layout))
	}
	note(f, "source_epoch", boot)
	note(f, "last_statement", strconv.FormatUint(h.Statement, 10))
	note(f, "last_statement_at", h.Heard.UTC().Format(layout))
	note(f, "state", map[bool]string{true: "resolved", false: "silent"}[resolved])
	return f
}

// keyFinding tells of a key that may not sign for a source.
func keyFinding(k Key, now time.Time) *event.Finding {
	f := about(FindingKeyChanged, k.Source, event.Severity_SEVERITY_HIGH, now, k.ID)
	f.FirstSeenUnixNano = uint64(max(k.First.UnixNano(), 0))
	f.Title = fmt.Sprintf("Statements of %s are signed by another key", label(k.Instance))
	f.Description = fmt.Sprintf("Source %s %s signs with key %s since %s; trusted is another one. Its figures count for nothing until the key is trusted. If the source "+
		"was moved or its key file was lost, name the new key in completeness.trusted_keys; else somebody speaks in its name.",
		label(k.Kind), label(k.Instance), label(k.ID), k.First.UTC().Format(layout))
	note(f, "key_id", label(k.ID))
	note(f, "first_key_id", label(k.Since))
	return f
}

// invalidFinding tells of statements whose signature does not hold.
func invalidFinding(i Invalid, now time.Time) *event.Finding {
	f := about(FindingInvalid, i.Source, event.Severity_SEVERITY_HIGH, now, i.KeyID, hourKey(i.Hour))
	f.Title = fmt.Sprintf("Statements of %s were altered", label(i.Instance))
	f.Description = fmt.Sprintf("%d statements in the name of source %s %s came in the hour %s with a signature that does not hold. They count for nothing. Somebody can "+
		"write to the topic of statements, or something alters records on their way.", i.Count, label(i.Kind), label(i.Instance), hourName(i.Hour))
	note(f, "key_id", label(i.KeyID))
	note(f, "hour", hourName(i.Hour))
	note(f, "statements", strconv.FormatUint(i.Count, 10))
	note(f, "last_statement", strconv.FormatUint(i.Last, 10))
	return f
}
