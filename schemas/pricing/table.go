// Package pricing owns the dated price table: what one unit of a model's work costs, from when to when, and who
// says so. Prices are decimals from their text to the last digit; a cost is computed in integers and rounded at
// most once. The file formats are described in docs/prices.md. No I/O.
package pricing

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/shopspring/decimal"
)

// Rates are prices in USD for 1,000,000 tokens of a unit ("input", "cache_read" ... see Units). A unit that is not
// named has no price.
type Rates map[string]decimal.Decimal

// Step moves the whole request to other rates when its input is longer than Above tokens. Units it does not name
// keep their price.
type Step struct {
	Above int64 `json:"above"`
	Rates Rates `json:"per_million"`
}

// Tier is how a service tier is priced: by a multiplier on all token rates and steps, or by its own rates. Own
// rates replace the standard ones: a unit that they do not name has no price in the tier, and without steps of its own
// the tier has no price above the row's first step.
type Tier struct {
	Multiplier decimal.NullDecimal `json:"multiplier"`
	Rates      Rates               `json:"per_million"`
	Steps      []Step              `json:"context_steps"`
}

// OffPeak is other rates at certain hours, by the start of the call. Units it does not name keep their price.
type OffPeak struct {
	Hours []Hours `json:"hours_utc"`
	Rates Rates   `json:"per_million"`
}

// Hours is one span of the day in UTC on some days of the week.
type Hours struct {
	Days     [7]bool `json:"days"` // by time.Weekday
	From, To int     // minutes since midnight, To exclusive, at most 1440
}

// Row is the price of one model of one provider over one period.
type Row struct {
	Provider       string              `json:"provider"` // OpenTelemetry gen_ai.provider.name
	Model          string              `json:"model"`
	Aliases        []string            `json:"aliases"`
	EffectiveFrom  time.Time           `json:"effective_from"` // midnight UTC
	EffectiveTo    time.Time           `json:"effective_to"`   // exclusive; zero: until the next row of the model
	Rates          Rates               `json:"per_million"`
	WebSearch      decimal.NullDecimal `json:"web_search_per_1k"` // USD for 1,000 searches
	Image          decimal.NullDecimal `json:"image_each"`        // USD for one generated image
	AudioPerMinute decimal.NullDecimal `json:"audio_per_minute"`  // USD for one minute of audio
	Steps          []Step              `json:"context_steps"`
	Tiers          map[string]Tier     `json:"tiers"`
	OffPeak        *OffPeak            `json:"off_peak"`
	Source         string              `json:"source"`    // where the figures were read
	Retrieved      time.Time           `json:"retrieved"` // when
	Note           string              `json:"note"`
}

// ID names the row: "provider/model@effective_from".
func (r *Row) ID() string {
	return r.Provider + "/" + r.Model + "@" + r.EffectiveFrom.Format(time.DateOnly)
}

// Skipped is an entry of a foreign price map that could not be taken over.
type Skipped struct {
	Key    string
	Reason string
}

type modelKey struct{ provider, model string }

// Table is one version of all prices. It is immutable and safe for concurrent use; rows reached through it MUST NOT
// be changed.
type Table struct {
	version string
	rows    []Row
	prices  map[modelKey][]*Price // by effective_from
	skipped []Skipped
}

// Version names the table: the hash of its rows, or the version that a foreign price map was loaded under.
func (t *Table) Version() string { return t.version }

// Rows returns all rows, by provider, model and date.
func (t *Table) Rows() []Row { return slices.Clone(t.rows) }

// Len returns the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Skipped returns the entries of a foreign price map that were left out, by key.
func (t *Table) Skipped() []Skipped { return slices.Clone(t.skipped) }

// Find returns the price of exactly that model at that time. known is true when the table has the model, even if no
// price was in force then.
func (t *Table) Find(provider, model string, at time.Time) (price *Price, known bool) {
	list := t.prices[modelKey{provider, model}]
	ns := at.UnixNano()
	for i := len(list) - 1; i >= 0; i-- {
		if p := list[i]; p.from <= ns {
			if ns < p.to {
				return p, true
			}
			return nil, true
		}
	}
	return nil, len(list) > 0
}

// NewTable checks rows, compiles them and names the table by the hash of its content. All faults are reported.
func NewTable(rows []Row) (*Table, error) {
	t, err := newTable(rows)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(t.rows)
	if err != nil {
		return nil, fmt.Errorf("hash prices: %w", err)
	}
	sum := sha256.Sum256(b)
	t.version = "sha256:" + hex.EncodeToString(sum[:6])
	return t, nil
}

func newTable(rows []Row) (*Table, error) {
	t := &Table{rows: slices.Clone(rows), prices: make(map[modelKey][]*Price, len(rows))}
	slices.SortStableFunc(t.rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Model, b.Model), a.EffectiveFrom.Compare(b.EffectiveFrom))
	})
	var errs []error
	for i := range t.rows {
		row := &t.rows[i]
		p, err := compile(row)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, name := range append([]string{row.Model}, row.Aliases...) {
			k := modelKey{row.Provider, name}
			t.prices[k] = append(t.prices[k], p)
		}
	}
	errs = append(errs, t.chain()...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return t, nil
}

// chain orders the prices of every model name, lets each one end where the next begins, and reports overlaps.
func (t *Table) chain() (errs []error) {
	names := make([]modelKey, 0, len(t.prices))
	for k := range t.prices {
		names = append(names, k)
	}
	sort.Slice(names, func(i, j int) bool {
		return cmp.Or(cmp.Compare(names[i].provider, names[j].provider), cmp.Compare(names[i].model, names[j].model)) < 0
	})
	for _, k := range names {
		list := t.prices[k]
		slices.SortStableFunc(list, func(a, b *Price) int { return cmp.Compare(a.from, b.from) })
		for i := 1; i < len(list); i++ {
			a, b := list[i-1], list[i]
			if a.from == b.from || a.dated && b.from < a.to {
				errs = append(errs, fmt.Errorf("%s: model %q is priced by %s as well at that date; correct effective_from, effective_to or an alias", b.ID, k.model, a.ID))
			}
		}
	}
	for _, k := range names {
		list := t.prices[k]
		for i := 1; i < len(list); i++ {
			if a := list[i-1]; !a.dated && list[i].from < a.to {
				list[i-1] = a.until(list[i].from)
			}
		}
	}
	return errs
}

// Overlay returns a table with all rows of over and those rows of t whose provider and model (or alias) over does not
// price: negotiated prices on top of list prices.
func (t *Table) Overlay(over *Table) (*Table, error) {
	rows := over.Rows()
	for _, row := range t.rows {
		if _, taken := over.prices[modelKey{row.Provider, row.Model}]; taken {
			continue
		}
		row.Aliases = slices.DeleteFunc(slices.Clone(row.Aliases), func(a string) bool {
			_, taken := over.prices[modelKey{row.Provider, a}]
			return taken
		})
		rows = append(rows, row)
	}
	out, err := NewTable(rows)
	if err != nil {
		return nil, fmt.Errorf("overlay prices: %w", err)
	}
	out.skipped = append(slices.Clone(t.skipped), over.skipped...)
	return out, nil
}
