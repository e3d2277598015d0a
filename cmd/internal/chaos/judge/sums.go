package judge

import (
	"context"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/oracle"
)

// sums are what the materialized views must hold, added up from the expected rows.
type sums struct {
	column map[string]int
	hourly map[string]*hour
	keys   map[string]*credential
}

type hour struct {
	calls, errors, unpriced, uncounted, in, read, out int64
	cost                                              big.Int // 1e-12 USD
}

type credential struct {
	calls, denied int64
	first, last   int64 // microseconds
	last4, kind   string
	models        map[string]bool
	cost          big.Int
}

func newSums() *sums {
	s := &sums{column: map[string]int{}, hourly: map[string]*hour{}, keys: map[string]*credential{}}
	for i, c := range oracle.Calls.Columns {
		s.column[c.Name] = i
	}
	return s
}

// add adds one expected row of calls.
func (s *sums) add(cells []string) {
	get := func(name string) string { return cells[s.column[name]] }
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(get(name), 10, 64)
		return n
	}
	model := get("response_model")
	if model == "" {
		model = get("request_model")
	}
	if model == "" {
		model = "unknown"
	}
	started, cost := number("started_at"), pico(get("cost_usd"))
	begin := time.UnixMicro(started).UTC().Truncate(time.Hour).Format("2006-01-02 15:04:05")
	key := strings.Join([]string{begin, get("team_id"), get("app_id"), get("cost_center"), get("credential_fingerprint"), get("provider"), model, get("policy_decision")}, "\t")
	h := s.hourly[key]
	if h == nil {
		h = &hour{}
		s.hourly[key] = h
	}
	h.calls++
	status, outcome := number("http_status"), get("stream_outcome")
	if status == 0 || status >= 400 || outcome == "upstream_abort" || outcome == "no_response" {
		h.errors++
	}
	if st := get("cost_status"); st != "priced" && st != "not_billed" {
		h.unpriced++
	}
	if src := get("usage_source"); (src == "none" || src == "unknown") && get("cost_status") != "not_billed" {
		h.uncounted++
	}
	h.in += number("in_total")
	h.read += number("in_cache_read")
	h.out += number("out_total")
	h.cost.Add(&h.cost, cost)
	s.inventory(get, model, started, cost)
}

func (s *sums) inventory(get func(string) string, model string, started int64, cost *big.Int) {
	key := strings.Join([]string{get("credential_fingerprint"), get("credential_id"), get("credential_status"), get("provider"), get("team_id"), get("app_id")}, "\t")
	c := s.keys[key]
	if c == nil {
		c = &credential{first: started, last: started, models: map[string]bool{}}
		s.keys[key] = c
	}
	c.calls++
	if get("policy_decision") == "deny" {
		c.denied++
	}
	c.first, c.last = min(c.first, started), max(c.last, started)
	c.last4, c.kind = max(c.last4, get("credential_last4")), max(c.kind, get("credential_kind"))
	c.models[model] = true
	c.cost.Add(&c.cost, cost)
}

// pico reads a decimal as ClickHouse writes it, in 1e-12 units; NULL is 0.
func pico(text string) *big.Int {
	whole, fraction, _ := strings.Cut(text, ".")
	n, ok := new(big.Int).SetString(whole+(fraction + strings.Repeat("0", 12))[:12], 10)
	if !ok {
		return new(big.Int)
	}
	return n
}

func (j *judge) compareSums(ctx context.Context) error {
	want := map[string]string{}
	for key, h := range j.sums.hourly {
		want[key] = fmt.Sprintf("%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s", h.calls, h.errors, h.unpriced, h.uncounted, h.in, h.read, h.out, h.cost.String())
	}
	if err := j.compareSum(ctx, "spend_hourly", 8, 7, `SELECT hour, team_id, app_id, cost_center, credential_fingerprint, provider, model, policy_decision,
		sum(calls), sum(errors), sum(unpriced_calls), sum(calls_without_usage), sum(in_tokens), sum(in_cache_read_tokens), sum(out_tokens), sum(cost_usd)
		FROM spend_hourly GROUP BY ALL`, want); err != nil {
		return err
	}
	want = map[string]string{}
	for key, c := range j.sums.keys {
		want[key] = fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s", c.last4, c.kind, c.first, c.last, c.calls, c.denied, len(c.models), c.cost.String())
	}
	return j.compareSum(ctx, "credential_inventory", 6, 7, `SELECT credential_fingerprint, credential_id, credential_status, provider, team_id, app_id,
		max(credential_last4), max(credential_kind), toUnixTimestamp64Micro(min(first_seen)), toUnixTimestamp64Micro(max(last_seen)), sum(calls), sum(denied_calls),
		length(groupUniqArrayArray(100)(models)), sum(cost_usd)
		FROM credential_inventory GROUP BY ALL`, want)
}

// compareSum compares one view: the first keys columns name a group, the column money after them is a decimal.
func (j *judge) compareSum(ctx context.Context, table string, keys, money int, query string, want map[string]string) error {
	rows, err := j.db.rows(ctx, query)
	if err != nil {
		return err
	}
	groups := len(want)
	for _, r := range rows {
		r[keys+money] = pico(r[keys+money]).String()
		key, value := strings.Join(r[:keys], "\t"), strings.Join(r[keys:], "\t")
		expected, ok := want[key]
		switch {
		case !ok:
			j.report.add(SumDiffers, table, key, "a group that must not be: %s", value)
		case expected != value:
			j.report.add(SumDiffers, table, key, "%s, want %s", value, expected)
		}
		delete(want, key)
	}
	for key, value := range want {
		j.report.add(SumDiffers, table, key, "the group is missing; want %s", value)
	}
	j.report.checked("%s equals the sums of %d groups", table, groups)
	return nil
}
