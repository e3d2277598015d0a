package backfill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/modeltrail/modeltrail/schemas/generic"
)

// record is one call of an archive, read field by field.
type record struct {
	callID, gateway, route, method, host, path, outcome, errorClass string
	clientAddress, userAgent, requestID, traceID                    string
	fingerprint, last4, kind                                        string
	requestBody, responseBody, requestType, responseType            string
	started, ended                                                  time.Time
	durationUS, firstByteUS                                         *int64
	status                                                          int32
	requestBytes, responseBytes                                     int64
	headers, claims                                                 []pair
	facts                                                           generic.Facts
}

type pair struct{ key, value string }

// field reads one value into a record.
type field func(r *record, v value) error

// value is a field's JSON text.
type value []byte

func (v value) null() bool { return len(v) == 0 || bytes.Equal(v, []byte("null")) }

func (v value) text() (string, error) {
	if v.null() {
		return "", nil
	}
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s, nil
	}
	if v[0] == '{' || v[0] == '[' {
		return "", errors.New("is not a text")
	}
	return string(v), nil // a number or a truth value stands for itself
}

func (v value) count() (*int64, error) {
	text, err := v.text()
	if err != nil || text == "" {
		return nil, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, errors.New("is not a whole number")
	}
	if n < 0 {
		return nil, errors.New("is negative")
	}
	return &n, nil
}

// layouts are the ways in which a time may be written; without a zone it is UTC.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z0700"}

func (v value) time() (time.Time, error) {
	text, err := v.text()
	if err != nil || text == "" {
		return time.Time{}, err
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, text); err == nil {
			if at.Year() < 1971 || at.Year() > 2261 {
				return at, errors.New("is outside the years 1971 to 2261")
			}
			return at.UTC(), nil
		}
	}
	return time.Time{}, errors.New("is not a time such as 2026-03-01T12:00:00.5Z")
}

func (v value) list() (out []string, err error) {
	if v.null() {
		return nil, nil
	}
	if json.Unmarshal(v, &out) != nil {
		return nil, errors.New("is not a list of texts")
	}
	return out, nil
}

// pairs reads an object, or the list of keys and values that a Parquet map becomes.
func (v value) pairs() (out []pair, err error) {
	if v.null() {
		return nil, nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(v, &object) == nil {
		for key, raw := range object {
			text, err := value(raw).text()
			if err != nil {
				return nil, fmt.Errorf("%s %w", key, err)
			}
			out = append(out, pair{key, text})
		}
		slices.SortFunc(out, func(a, b pair) int { return strings.Compare(a.key, b.key) })
		return out, nil
	}
	var entries []struct{ Key, Value string }
	if json.Unmarshal(v, &entries) != nil {
		return nil, errors.New("is not an object of texts")
	}
	for _, e := range entries {
		out = append(out, pair{e.Key, e.Value})
	}
	return out, nil
}

func text(at func(*record) *string) field {
	return func(r *record, v value) (err error) { *at(r), err = v.text(); return err }
}

func count(at func(*record) **int64) field {
	return func(r *record, v value) (err error) { *at(r), err = v.count(); return err }
}

func list(at func(*record) *[]string) field {
	return func(r *record, v value) (err error) { *at(r), err = v.list(); return err }
}

func size(at func(*record) *int64) field {
	return func(r *record, v value) error {
		n, err := v.count()
		if n != nil {
			*at(r) = *n
		}
		return err
	}
}

// body is a text, or JSON that stands for itself.
func body(at func(*record) *string) field {
	return func(r *record, v value) error {
		if v.null() {
			return nil
		}
		if s, err := v.text(); err == nil {
			*at(r) = s
			return nil
		}
		*at(r) = string(v)
		return nil
	}
}

var fingerprint = regexp.MustCompile(`^mt1:[0-9a-f]{32}$`)

func readFingerprint(r *record, v value) (err error) {
	if r.fingerprint, err = v.text(); err == nil && r.fingerprint != "" && !fingerprint.MatchString(r.fingerprint) {
		r.fingerprint = ""
		err = errors.New("is not a fingerprint (mt1: and 32 hex digits); a key itself is never loaded")
	}
	return err
}

func readCost(r *record, v value) error {
	s, err := v.text()
	if err != nil || s == "" {
		return err
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return errors.New("is not a decimal number")
	}
	pico := d.Shift(12)
	if !pico.IsInteger() || pico.IsNegative() || pico.GreaterThan(decimal.NewFromInt(999_999_999_999_999_999)) {
		return errors.New("is not an amount of 0 to 999999.999999999999 USD with at most twelve digits after the point")
	}
	n := pico.IntPart()
	r.facts.CostPicoUSD = &n
	return nil
}

func readStatus(r *record, v value) error {
	n, err := v.count()
	if err == nil && n != nil && *n > 999 {
		return errors.New("is not an HTTP status")
	}
	if n != nil {
		r.status = int32(*n) //nolint:gosec // at most 999
	}
	return err
}

func readStream(r *record, v value) error {
	s, err := v.text()
	switch {
	case err != nil:
		return err
	case s == "" || s == "false" || s == "0":
		return nil
	case s == "true" || s == "1":
		r.facts.Stream = true
		return nil
	}
	return errors.New("is neither true nor false")
}

// parse reads one line. The error names every field that is at fault.
func parse(line []byte) (*record, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil || object == nil {
		return nil, errors.New("the line is not a JSON object")
	}
	r := &record{}
	if errs := r.take(object, fields()); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return r, r.check()
}

func (r *record) take(object map[string]json.RawMessage, known map[string]field) (errs []error) {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		read, ok := known[name]
		switch {
		case ok:
			if err := read(r, value(object[name])); err != nil {
				errs = append(errs, fmt.Errorf("%s %w", name, err))
			}
		case slices.Contains(secrets, name):
			errs = append(errs, fmt.Errorf("%s must not be loaded: give credential_fingerprint, which the tap's key makes of it", name))
		case !slices.Contains(derived, name):
			errs = append(errs, fmt.Errorf("%s is no field of this format", name))
		}
	}
	return errs
}

// check reports what a call cannot be without.
func (r *record) check() error {
	var errs []error
	if r.started.IsZero() {
		errs = append(errs, errors.New("started_at is missing"))
	}
	for name, us := range map[string]*int64{"duration_us": r.durationUS, "time_to_first_byte_us": r.firstByteUS, "time_to_first_token_us": r.facts.TimeToFirstTokenUS} {
		if us != nil && *us > maxMicros {
			errs = append(errs, fmt.Errorf("%s is longer than a year", name))
			*us = 0
		}
	}
	if r.ended.IsZero() && r.durationUS != nil {
		r.ended = r.started.Add(time.Duration(*r.durationUS) * time.Microsecond)
	}
	if !r.ended.IsZero() && r.ended.Before(r.started) {
		errs = append(errs, errors.New("ended_at is before started_at"))
	}
	if r.facts.RequestModel == "" && r.facts.ResponseModel == "" && r.path == "" && r.facts.Operation == "" {
		errs = append(errs, errors.New("request_model or response_model is missing: the record does not say what was called"))
	}
	if _, ok := outcomes()[r.outcome]; !ok {
		errs = append(errs, fmt.Errorf("stream_outcome is %q; use complete, client_abort, upstream_abort or no_response", r.outcome))
	}
	if _, ok := generic.UsageSources()[r.facts.UsageSource]; !ok {
		errs = append(errs, fmt.Errorf("usage_source is %q; use provider, gateway, estimated, partial or none", r.facts.UsageSource))
	}
	if len(r.callID) > 128 {
		errs = append(errs, errors.New("call_id is longer than 128 bytes"))
	}
	if len(r.headers)+len(r.claims) > maxPairs {
		errs = append(errs, fmt.Errorf("more than %d headers and claims", maxPairs))
	}
	return errors.Join(errs...)
}

// maxMicros is a year.
const maxMicros = 366 * 24 * 3600 * 1_000_000

// maxPairs bounds headers and claims of one record.
const maxPairs = 256
