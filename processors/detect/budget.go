package detect

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// nameBudget is the detector name of monthly budgets that run out.
const nameBudget = "budget"

// budget sums what each team spends per UTC month and reports every threshold of its budget that is passed.
// A sum does not depend on order, so no lateness bound applies within the current and the previous month.
type budget struct {
	cfg     BudgetConfig
	limit   BudgetFunc
	history *History
	teams   map[string]*teamMonths
}

// teamMonths holds the newest month and the one before.
type teamMonths struct{ months [2]monthSpend }

type monthSpend struct {
	number  int // year*12 + month-1; 0 = unused
	spent   Amount
	limit   Amount
	marks   []Amount // limit times each threshold
	crossed uint8    // bit i: threshold i was reported
	since   int64    // first event time counted when no history covers the month's start; 0 = whole month
	calls   uint64
	blind   uint64 // calls without a price
}

func newBudget(cfg BudgetConfig, limit BudgetFunc, history *History) *budget {
	return &budget{cfg: cfg, limit: limit, history: history, teams: make(map[string]*teamMonths)}
}

// Name implements Detector.
func (d *budget) Name() string { return nameBudget }

// StateBytes implements Detector.
func (d *budget) StateBytes() int64 { return int64(len(d.teams)) * 320 }

// Observe implements Detector. Only finished calls cost money.
func (d *budget) Observe(e *event.Event, emit func(*event.Finding)) {
	if e.GetPhase() != event.Phase_PHASE_RESPONSE || e.GetCost().GetStatus() == event.CostStatus_COST_STATUS_NOT_BILLED {
		return
	}
	at := eventTime(e)
	month := d.month(e.GetIdentity().GetTeamId(), at)
	if month == nil || d.history.holds(e) {
		return
	}
	month.calls++
	if e.GetCost().GetStatus() != event.CostStatus_COST_STATUS_PRICED || e.GetCost().TotalPicoUsd == nil {
		month.blind++
		return
	}
	month.spent = month.spent.Add(e.GetCost().GetTotalPicoUsd())
	d.judge(month, at, e, emit)
}

func (d *budget) judge(month *monthSpend, at int64, e *event.Event, emit func(*event.Finding)) {
	if month.crossed == 1<<len(d.cfg.Thresholds)-1 {
		return
	}
	team := e.GetIdentity().GetTeamId()
	asOf := int64(e.GetIngestedUnixNano())
	if asOf == 0 {
		asOf = at
	}
	limit, ok := d.limit(team, time.Unix(0, asOf))
	if !ok || !(Amount{}).Less(limit) {
		return
	}
	if month.marks == nil || month.limit != limit {
		month.limit, month.marks = limit, make([]Amount, len(d.cfg.Thresholds))
		for i, threshold := range d.cfg.Thresholds {
			month.marks[i] = limit.Percent(int64(threshold))
		}
	}
	for i, threshold := range d.cfg.Thresholds {
		if month.crossed&(1<<i) != 0 || month.spent.Less(month.marks[i]) {
			continue
		}
		month.crossed |= 1 << i
		emit(d.finding(month, threshold, limit, e))
	}
}

// month returns the sum an event time belongs to, or nil when that month is no longer held.
func (d *budget) month(name string, at int64) *monthSpend {
	team, ok := d.teams[name]
	if !ok {
		team = &teamMonths{}
		d.teams[strings.Clone(name)] = team
	}
	t := time.Unix(0, at).UTC()
	number := t.Year()*12 + int(t.Month()) - 1
	slot := &team.months[number%2]
	if number < slot.number {
		return nil
	}
	if number > slot.number {
		*slot = monthSpend{number: number}
		d.seed(slot, name, at)
	}
	return slot
}

// seed adds what the history knows of the month.
func (d *budget) seed(slot *monthSpend, name string, at int64) {
	begin := time.Date(slot.number/12, time.Month(slot.number%12+1), 1, 0, 0, 0, 0, time.UTC)
	for _, row := range d.history.team(name) {
		if !row.Hour.Before(begin) && row.Hour.Before(begin.AddDate(0, 1, 0)) {
			slot.spent = slot.spent.Add(row.PicoUSD)
		}
	}
	if d.history == nil {
		slot.since = at
	}
}

func (d *budget) finding(month *monthSpend, threshold int, limit Amount, e *event.Event) *event.Finding {
	team := e.GetIdentity().GetTeamId()
	label := fmt.Sprintf("%04d-%02d", month.number/12, month.number%12+1)
	severity := event.Severity_SEVERITY_MEDIUM
	if threshold >= 100 {
		severity = event.Severity_SEVERITY_HIGH
	}
	f := newFinding(nameBudget, Key(nameBudget, team, label, strconv.Itoa(threshold)), severity, e)
	f.AppId, f.Model, f.CredentialFingerprint, f.Principal, f.Provider = "", "", "", "", ""
	f.PolicyId, f.PolicyRule = "", ""
	if threshold >= 100 {
		over := AmountFromDecimal(month.spent.Decimal().Sub(limit.Decimal())).pico()
		f.ImpactPicoUsd = &over
	}
	spent, budgeted := "$"+month.spent.Decimal().StringFixed(2), "$"+limit.Decimal().StringFixed(2)
	f.Title = fmt.Sprintf("Budget at %d %%: team %s spent %s of %s for %s", threshold, orUnknown(team), spent, budgeted, label)
	var text strings.Builder
	fmt.Fprintf(&text, "Team %s has spent %s of its budget of %s for %s.", orUnknown(team), spent, budgeted, label)
	if month.since != 0 {
		fmt.Fprintf(&text, " Spend before %s is not known here, so the true sum may be higher.", clockTime(month.since))
	}
	if month.blind > 0 {
		fmt.Fprintf(&text, " %d calls since the last restart have no price and are not in this figure.", month.blind)
	}
	text.WriteString(" Agree with the owner on a higher budget in the directory, a smaller model, or a limit at the gateway.")
	f.Description = text.String()
	attribute(f, "month", label)
	attribute(f, "threshold_percent", strconv.Itoa(threshold))
	attribute(f, "observed_usd", month.spent.Decimal().String())
	attribute(f, "budget_usd", limit.Decimal().String())
	attribute(f, "unpriced_calls", strconv.FormatUint(month.blind, 10))
	if month.since != 0 {
		attribute(f, "counted_since", time.Unix(0, month.since).UTC().Format(time.RFC3339))
	}
	return f
}
