package replay

import (
	"context"
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// Preview is what a replay would do.
type Preview struct {
	Records    int64            // read
	Calls      int64            // rows of calls it would write
	Changed    int64            // those that would read differently
	New        int64            // those that have no row now
	Gone       int64            // calls that would have no row any more
	Resolved   int64            // dead letters that would become rows
	Refused    map[string]int64 // by "stage/reason"
	CostBefore decimal.Decimal  // of the calls of the records, USD
	CostAfter  decimal.Decimal
}

// seen is what Preview compares of a call.
type seen struct {
	Team, App, Principal, Status, Rule, Provider, Operation, Asked, Answered, Decode string
	Decision, Usage, CostStatus, Outcome                                             int32
	In, Out                                                                          int64 // -1: unknown
	Cost                                                                             string
}

// Preview passes the records through the chain, compares the calls with the current rows and writes nothing.
func (e *Engine) Preview(ctx context.Context, kind Kind, spans []Span, source Source) (Preview, error) {
	p := Preview{Refused: map[string]int64{}}
	total, done := int64(0), int64(0)
	for _, span := range spans {
		total += span.records()
	}
	for _, span := range spans {
		for next := span.First; next <= span.Last; {
			records, through, err := source.Read(ctx, span, next, span.Last, chunkLimit)
			if err != nil {
				return p, err
			}
			if err := e.compare(ctx, kind, span, interval{next, through}, records, &p); err != nil {
				return p, err
			}
			e.set.Progress(Progress{0, span.Topic, span.Partition, done + span.done(through), total})
			next = through + 1
		}
		done += span.records()
	}
	return p, nil
}

func (e *Engine) compare(ctx context.Context, kind Kind, span Span, c interval, records []Record, p *Preview) error {
	if len(records) == 0 {
		return nil
	}
	facts, err := e.facts(ctx, span, c)
	if err != nil {
		return err
	}
	current := map[int64]seen{}
	if kind == KindSpan && span.Topic != e.set.Findings {
		if current, err = e.current(ctx, span, c, records); err != nil {
			return err
		}
	}
	for i := range records {
		r := &records[i]
		if facts.repeated[r.Offset] {
			continue
		}
		p.Records++
		verdict := e.verdict(span, r, facts)
		before, stood := current[r.Offset]
		if stood {
			p.CostBefore = p.CostBefore.Add(money(before.Cost))
			delete(current, r.Offset)
		}
		_, standing := facts.rejected[r.Offset]
		switch {
		case verdict.Action != processors.ActionKeep:
			p.Refused[verdict.Stage+"/"+verdict.Reason]++
			if stood {
				p.Gone++
			}
			continue
		case standing || span.Topic == e.set.Findings:
			p.Resolved++
		}
		if span.Topic == e.set.Findings || e.rewriter.record.Envelope.Phase != event.Phase_PHASE_RESPONSE {
			continue
		}
		after := look(e.rewriter.record.Envelope, &e.rewriter.event)
		p.Calls++
		p.CostAfter = p.CostAfter.Add(money(after.Cost))
		if !stood {
			p.New++
		} else if after != before {
			p.Changed++
		}
	}
	return nil
}

// verdict judges a record of either topic without keeping its rows.
func (e *Engine) verdict(span Span, r *Record, f *facts) processors.Verdict {
	if span.Topic != e.set.Findings {
		return e.rewriter.judge(span, r)
	}
	defer e.rewriter.tables.Reset()
	res := e.rewriter.addFinding(span, r, f)
	if res.refused {
		return processors.Verdict{Action: processors.ActionReject, Stage: res.stage, Reason: res.reason}
	}
	return processors.Verdict{}
}

func money(text string) decimal.Decimal {
	if text == "" {
		return decimal.Zero
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		return decimal.Zero
	}
	return d
}

// current reads the calls at a chunk's offsets.
func (e *Engine) current(ctx context.Context, span Span, c interval, records []Record) (map[int64]seen, error) {
	since, until := records[0].IngestedAt, records[0].IngestedAt
	for i := range records {
		if at := records[i].IngestedAt; at.Before(since) {
			since = at
		} else if at.After(until) {
			until = at
		}
	}
	rows, err := e.set.Conn.Query(ctx, `SELECT offset, toString(team_id), toString(app_id), toString(principal), toString(credential_status), toString(policy_rule),
toString(provider), toString(operation), toString(request_model), toString(response_model), toString(decode_error),
toInt32(policy_decision), toInt32(usage_source), toInt32(cost_status), toInt32(stream_outcome),
ifNull(toInt64(in_total), -1), ifNull(toInt64(out_total), -1), ifNull(toString(c.cost_usd), '')
FROM `+e.table("v_calls")+` AS c WHERE topic = ? AND partition = ? AND offset BETWEEN ? AND ? AND `+during(since, until), span.Topic, span.Partition, c.first, c.last)
	if err != nil {
		return nil, fmt.Errorf("read current calls: %w", err)
	}
	defer rows.Close()
	out := map[int64]seen{}
	for rows.Next() {
		var offset int64
		var s seen
		if err := rows.Scan(&offset, &s.Team, &s.App, &s.Principal, &s.Status, &s.Rule, &s.Provider, &s.Operation, &s.Asked, &s.Answered, &s.Decode,
			&s.Decision, &s.Usage, &s.CostStatus, &s.Outcome, &s.In, &s.Out, &s.Cost); err != nil {
			return nil, fmt.Errorf("read current calls: %w", err)
		}
		out[offset] = s
	}
	return out, rows.Err()
}

// look is the same of a call that the chain has just decoded.
func look(env *event.Envelope, ev *event.Event) seen {
	id, call, cost := ev.GetIdentity(), ev.GetCall(), ev.GetCost()
	s := seen{
		Team: id.GetTeamId(), App: id.GetAppId(), Principal: id.GetPrincipal(), Status: id.GetCredentialStatus(), Rule: ev.GetPolicy().GetRule(),
		Provider: call.GetProvider(), Operation: call.GetOperation(), Asked: call.GetRequestModel(), Answered: call.GetResponseModel(), Decode: call.GetDecodeError(),
		Decision: int32(ev.GetPolicy().GetDecision()), Usage: int32(ev.GetUsage().GetSource()), CostStatus: int32(cost.GetStatus()), Outcome: int32(call.GetOutcome()),
		In: -1, Out: -1,
	}
	if s.Provider == "" {
		s.Provider = env.Provider
	}
	if s.Outcome == 0 {
		s.Outcome = int32(env.Response.GetOutcome())
	}
	if u := ev.GetUsage(); u != nil {
		s.In, s.Out = known(u.InTotal), known(u.OutTotal)
	}
	if cost != nil && cost.TotalPicoUsd != nil {
		s.Cost = decimal.New(*cost.TotalPicoUsd, -12).String()
	}
	return s
}

func known(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}
