package queries

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrTime reports a text that ParseTime cannot read.
var ErrTime = errors.New("not a time")

// ParseTime reads a time as people type it: "now", "now-24h", "now-7d", "now-2w", "now-90m30s", a date
// ("2026-03-01"), a month ("2026-03"), a time with or without a zone ("2026-03-01 12:00", RFC 3339), or Unix
// seconds. Without a zone it is UTC. The result is in UTC.
func ParseTime(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "now"); ok {
		age, err := parseShift(rest)
		if err != nil {
			return time.Time{}, err
		}
		return now.UTC().Add(age), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly, "2006-01"} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return t.UTC(), nil
		}
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && len(text) >= 9 && len(text) <= 11 {
		return time.Unix(seconds, 0).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("parse time %q: %w", text, ErrTime)
}

// ParseAge reads a length of time that may use days and weeks: "10m", "24h", "7d", "2w".
func ParseAge(text string) (time.Duration, error) {
	unit := time.Duration(0)
	switch {
	case strings.HasSuffix(text, "d"):
		unit = 24 * time.Hour
	case strings.HasSuffix(text, "w"):
		unit = 7 * 24 * time.Hour
	default:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("parse age %q: %w", text, ErrTime)
		}
		return d, nil
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 16)
	if err != nil {
		return 0, fmt.Errorf("parse age %q: %w", text, ErrTime)
	}
	return time.Duration(n) * unit, nil
}

// parseShift reads what follows "now": nothing, or a sign and an age.
func parseShift(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	age, err := ParseAge(text[1:])
	if err != nil {
		return 0, err
	}
	switch text[0] {
	case '-':
		return -age, nil
	case '+':
		return age, nil
	}
	return 0, fmt.Errorf("parse time %q: %w", "now"+text, ErrTime)
}
