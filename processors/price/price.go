// Package price puts a price on every answered call: it fills Event.cost from the usage that decode read and from
// the price row in force when the call began. A call that cannot be priced says why and has no total.
package price

import (
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/pricing"
	"github.com/modeltrail/modeltrail/schemas/pricing/modelid"
	"github.com/modeltrail/modeltrail/schemas/timeline"
)

// Values of Cost.detail for calls without a cost. An unpriced unit is named as "unpriced:audio_in".
const (
	DetailNoTable       = "no_price_table"
	DetailNoModel       = "no_model"
	DetailUnknownModel  = "unknown_model"
	DetailNotInForce    = "no_price_in_force"
	DetailNoUsage       = "no_usage"
	DetailInputUnknown  = "input_unknown"
	DetailOutputUnknown = "output_unknown"
	DetailOutOfRange    = "count_out_of_range"
	DetailHTTPError     = "http_error"
	DetailNoResponse    = "no_response"
	DetailTooLarge      = "cost_too_large"
	DetailStated        = "stated_by_source" // a cost that the record brought along, of no table
	unpricedPrefix      = "unpriced:"
)

// Remarks on a cost, joined by commas in Cost.detail in this order.
const (
	remarkSnapshot     = 1 << iota // the row of the undated model was used
	remarkRegion                   // the row without Bedrock's region prefix was used
	remarkRequestModel             // the response model has no row: the request's was used
	remarkPartial                  // the stream broke off: the counts are those seen until then
	remarkEstimated                // the counts are an estimate
	remarkWriteTTL                 // cache writes of unknown lifetime were priced as 5 minutes
	remarkInputSplit               // part of the input total has no unit: priced as plain input
	remarkOutputSplit              // part of the output total has no unit: priced as plain output
	remarks            = iota
)

var remarkNames = [remarks]string{
	"dated_snapshot", "region_prefix", "request_model", "partial_usage", "estimated_usage", "cache_write_ttl_unknown",
	"input_not_split", "output_not_split",
}

// bedrockProvider is the provider whose model ids carry regions and ARNs.
const bedrockProvider = "aws.bedrock"

// Step implements processors.Step. It is safe for concurrent use.
type Step struct {
	tables  *timeline.Timeline[*pricing.Table]
	details [1 << remarks]string // every combination of remarks
}

// New returns a Step that uses the price table in force when the broker took the envelope, and in it the row in force
// when the call began.
func New(tables *timeline.Timeline[*pricing.Table]) *Step {
	s := &Step{tables: tables}
	for set := range s.details {
		var names []string
		for i, name := range remarkNames {
			if set&(1<<i) != 0 {
				names = append(names, name)
			}
		}
		s.details[set] = strings.Join(names, ",")
	}
	return s
}

// Name implements processors.Step.
func (*Step) Name() string { return "price" }

// httpError is the lowest HTTP status of an answer that providers do not bill.
const httpError = 400

// Process implements processors.Step. It writes r.Event.Cost of responses and nothing else; a request has no cost.
func (s *Step) Process(r *batch.Record) processors.Verdict {
	ev := r.Event
	if ev.GetPhase() != event.Phase_PHASE_RESPONSE && r.Envelope.GetPhase() != event.Phase_PHASE_RESPONSE {
		return processors.Verdict{}
	}
	c := newCell()
	ev.Cost = &c.cost
	if stated := ev.GetCall().GetStatedPicoUsd(); ev.GetCall() != nil && ev.Call.StatedPicoUsd != nil {
		c.total = stated
		c.cost.Status, c.cost.TotalPicoUsd, c.cost.Detail = event.CostStatus_COST_STATUS_PRICED, &c.total, DetailStated
		return processors.Verdict{}
	}
	table, ok := s.tables.At(r.IngestedAt)
	if !ok {
		c.refuse(event.CostStatus_COST_STATUS_UNKNOWN_MODEL, DetailNoTable)
		return processors.Verdict{}
	}
	c.cost.PriceVersion = table.Version()
	if ev.GetHttpStatus() >= httpError {
		c.refuse(event.CostStatus_COST_STATUS_NOT_BILLED, DetailHTTPError)
		return processors.Verdict{}
	}
	if ev.GetCall().GetOutcome() == event.StreamOutcome_STREAM_OUTCOME_NO_RESPONSE && ev.GetErrorClass() != "timeout" {
		// No connection was had. After a timeout the provider may have worked, and billed.
		c.refuse(event.CostStatus_COST_STATUS_NOT_BILLED, DetailNoResponse)
		return processors.Verdict{}
	}
	s.price(r, table, c)
	return processors.Verdict{}
}

// cell keeps a cost and its three optional figures in one allocation.
type cell struct {
	cost                 event.Cost
	total, input, output int64
}

func newCell() *cell { return &cell{} }

func (c *cell) refuse(status event.CostStatus, detail string) {
	c.cost.Status, c.cost.Detail = status, detail
}

func (s *Step) price(r *batch.Record, table *pricing.Table, c *cell) {
	call, start := r.Event.GetCall(), callTime(r)
	row, remarks, why := find(table, provider(r), call, start)
	if row == nil {
		c.refuse(event.CostStatus_COST_STATUS_UNKNOWN_MODEL, why)
		return
	}
	c.cost.PriceId = row.ID
	var usage pricing.Usage
	more, why := gather(r.Event.GetUsage(), row, &usage)
	if why != "" {
		c.refuse(event.CostStatus_COST_STATUS_NO_USAGE, why)
		return
	}
	amount, problem, unit := row.Cost(&usage, call.GetServiceTier(), start)
	switch problem {
	case pricing.Priced:
		c.total, c.input, c.output = amount.Total, amount.Input, amount.Output
		c.cost.Status = event.CostStatus_COST_STATUS_PRICED
		c.cost.TotalPicoUsd, c.cost.InputPicoUsd, c.cost.OutputPicoUsd = &c.total, &c.input, &c.output
		c.cost.Detail = s.details[remarks|more]
	case pricing.CostTooLarge:
		c.refuse(event.CostStatus_COST_STATUS_UNPRICED_UNIT, DetailTooLarge)
	default:
		c.refuse(event.CostStatus_COST_STATUS_UNPRICED_UNIT, unpricedPrefix+unit)
	}
}

func callTime(r *batch.Record) time.Time {
	if ns := r.Event.GetStartedUnixNano(); ns != 0 {
		return time.Unix(0, int64(ns))
	}
	if ns := r.Envelope.GetStartedUnixNano(); ns != 0 {
		return time.Unix(0, int64(ns))
	}
	return r.IngestedAt
}

func provider(r *batch.Record) string {
	if p := r.Event.GetCall().GetProvider(); p != "" {
		return p
	}
	return r.Envelope.GetProvider()
}

// find looks up the model that answered, then the one that was asked for. Each is looked up as it is written and then
// by its documented other spellings (package modelid); nothing is matched by likeness.
func find(t *pricing.Table, provider string, call *event.Call, at time.Time) (row *pricing.Price, remarks int, why string) {
	answered, asked := call.GetResponseModel(), call.GetRequestModel()
	if answered == "" && asked == "" {
		return nil, 0, DetailNoModel
	}
	why = DetailUnknownModel
	for i, model := range [...]string{answered, asked} {
		if model == "" || i == 1 && model == answered {
			continue
		}
		p, spelling, known := spellings(t, provider, model, at)
		if p != nil {
			if i == 1 && answered != "" {
				spelling |= remarkRequestModel
			}
			return p, spelling, ""
		}
		if known {
			why = DetailNotInForce
		}
	}
	return nil, 0, why
}

func spellings(t *pricing.Table, provider, model string, at time.Time) (p *pricing.Price, remarks int, known bool) {
	if provider == bedrockProvider {
		model = modelid.FromARN(model)
	}
	if p, known = t.Find(provider, model, at); p != nil {
		return p, 0, true
	}
	try := func(name string, remark int) {
		if p == nil {
			var has bool
			p, has = t.Find(provider, name, at)
			known, remarks = known || has, remark
		}
	}
	base, dated := modelid.Base(model)
	if dated {
		try(base, remarkSnapshot)
	}
	if provider != bedrockProvider {
		return p, remarks, known
	}
	if local, regional := modelid.WithoutRegion(model); regional {
		try(local, remarkRegion)
		if base, dated := modelid.Base(local); dated {
			try(base, remarkRegion|remarkSnapshot)
		}
	}
	return p, remarks, known
}
