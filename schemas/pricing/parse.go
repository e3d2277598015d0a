package pricing

import (
	_ "embed" // prices.yaml
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/modeltrail/modeltrail/schemas/internal/strictyaml"
)

//go:embed prices.yaml
var builtin []byte

// Builtin returns the price table that ships with this version: list prices read from public pages, each row with its
// source and the day it was read.
func Builtin() (*Table, error) {
	t, err := Parse(builtin)
	if err != nil {
		return nil, fmt.Errorf("load built-in prices: %w", err)
	}
	return t, nil
}

// BuiltinSource returns the file behind Builtin, as Parse reads it.
func BuiltinSource() []byte { return slices.Clone(builtin) }

// Parse reads and checks a price file. The error lists every fault of the file with its line, its path and what to do.
func Parse(b []byte) (*Table, error) {
	faults := &strictyaml.Faults{}
	root, err := strictyaml.Parse(b, faults)
	if err != nil {
		return nil, err
	}
	m := root.Map("currency", "retrieved", "prices")
	if currency := m.Need("currency").Text(); currency != "" && currency != "USD" {
		m.Get("currency").Fault("must be USD; other currencies have no fixed rate")
	}
	retrieved, _ := m.Get("retrieved").Date()
	p := parsing{retrieved: retrieved, seen: map[string]int{}}
	items := m.Need("prices").Items()
	rows := make([]Row, 0, len(items))
	for _, n := range items {
		if row, ok := p.row(n); ok {
			rows = append(rows, row)
		}
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return NewTable(rows)
}

type parsing struct {
	retrieved time.Time
	seen      map[string]int // row id -> line
}

func (p *parsing) row(n strictyaml.Node) (Row, bool) {
	m := n.Map("provider", "model", "aliases", "effective_from", "effective_to", "per_million", "web_search_per_1k",
		"image_each", "audio_per_minute", "context_steps", "tiers", "off_peak", "source", "retrieved", "note")
	r := Row{
		Provider: name(m.Need("provider")), Model: name(m.Need("model")), Aliases: m.Get("aliases").Texts(),
		Rates: rateMap(m.Get("per_million")), Steps: stepList(m.Get("context_steps")), OffPeak: offPeakOf(m.Get("off_peak")),
		WebSearch: price(m.Get("web_search_per_1k")), Image: price(m.Get("image_each")), AudioPerMinute: price(m.Get("audio_per_minute")),
		Note: m.Get("note").Text(), Retrieved: p.retrieved,
	}
	r.EffectiveFrom, _ = m.Need("effective_from").Date()
	r.EffectiveTo, _ = m.Get("effective_to").Date()
	if d, ok := m.Get("retrieved").Date(); ok {
		r.Retrieved = d
	}
	r.Source = m.Need("source").Text()
	if u, err := url.Parse(r.Source); r.Source != "" && (err != nil || u.Scheme != "https" && u.Scheme != "contract") {
		m.Get("source").Fault("must be the https:// address of the page the figures stand on, or contract:<reference>")
	}
	if r.Retrieved.IsZero() {
		m.Get("retrieved").Fault("is missing here and at the top of the file; write the day the figures were read")
	}
	for _, e := range m.Get("tiers").Entries() {
		if r.Tiers == nil {
			r.Tiers = map[string]Tier{}
		}
		t := e.Value.Map("multiplier", "per_million", "context_steps")
		r.Tiers[e.Key] = Tier{Multiplier: price(t.Get("multiplier")), Rates: rateMap(t.Get("per_million")), Steps: stepList(t.Get("context_steps"))}
	}
	if line, taken := p.seen[r.ID()]; taken {
		n.Fault("%s stands at line %d as well; change effective_from or remove one", r.ID(), line)
	}
	p.seen[r.ID()] = n.Line()
	if r.Provider == "" || r.Model == "" || r.EffectiveFrom.IsZero() {
		return Row{}, false
	}
	if _, err := compile(&r); err != nil {
		n.Fault("%v", err)
	}
	return r, true
}

func name(n strictyaml.Node) string {
	text := n.Text()
	if strings.ContainsAny(text, "* \t") {
		n.Fault("%q is not a name; prices match exact names only", text)
	}
	return text
}

func price(n strictyaml.Node) decimal.NullDecimal {
	d, ok := n.Decimal()
	return decimal.NullDecimal{Decimal: d, Valid: ok}
}

func rateMap(n strictyaml.Node) Rates {
	var r Rates
	for _, e := range n.Entries() {
		if !slices.Contains(unitNames[:], e.Key) {
			e.Value.Fault("unknown unit; units are %s", strings.Join(unitNames[:], ", "))
			continue
		}
		d, ok := e.Value.Decimal()
		if !e.Value.Present() {
			e.Value.Fault("has no price; write a decimal or remove the line")
		}
		if !ok {
			continue
		}
		if r == nil {
			r = Rates{}
		}
		r[e.Key] = d
	}
	return r
}

func stepList(n strictyaml.Node) []Step {
	var steps []Step
	for _, item := range n.Items() {
		m := item.Map("above", "per_million")
		s := Step{Rates: rateMap(m.Need("per_million"))}
		above, ok := m.Need("above").Decimal()
		if ok && (!above.IsInteger() || !above.IsPositive() || above.GreaterThan(decimal.New(1, 12))) {
			m.Get("above").Fault("must be a whole number of tokens")
			continue
		}
		s.Above = above.IntPart()
		steps = append(steps, s)
	}
	return steps
}

func offPeakOf(n strictyaml.Node) *OffPeak {
	if !n.Present() {
		return nil
	}
	m := n.Map("hours_utc", "per_million")
	o := &OffPeak{Rates: rateMap(m.Need("per_million"))}
	for _, item := range m.Need("hours_utc").Items() {
		h := item.Map("days", "from", "to")
		var hours Hours
		for _, day := range h.Need("days").Items() {
			i := slices.Index(weekdays[:], day.Text())
			if i < 0 {
				day.Fault("is not a day; write mon, tue, wed, thu, fri, sat or sun")
				continue
			}
			hours.Days[i] = true
		}
		hours.From, hours.To = minutes(h.Need("from")), minutes(h.Need("to"))
		if hours.From >= hours.To {
			item.Fault("to must be later than from on the same day; split hours that cross midnight")
		}
		o.Hours = append(o.Hours, hours)
	}
	return o
}

var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func minutes(n strictyaml.Node) int {
	text := n.Text()
	if text == "24:00" {
		return 24 * 60
	}
	t, err := time.Parse("15:04", text)
	if err != nil && text != "" {
		n.Fault("%q is not a time of day; write it as \"07:30\"", text)
	}
	return t.Hour()*60 + t.Minute()
}
