// Package processors defines the step contract of the chain that turns an envelope into an event.
//
// A record moves left to right and only its outcome comes back. Steps are pure functions of the record and of
// the versioned directory and price table in force at the record's ingest time: no clock, no I/O, no error about
// the world. Therefore two consumer groups may run the chain independently and agree, and a replay gives the
// same row.
package processors

import "github.com/modeltrail/modeltrail/schemas/batch"

// Action is what happens with a record.
type Action uint8

// The actions.
const (
	ActionKeep   Action = iota // goes on
	ActionReject               // becomes a dead letter with its original bytes
)

// Verdict is a step's outcome for one record. The zero Verdict keeps the record.
type Verdict struct {
	Action Action
	Stage  string // set by Chain
	Reason string // snake_case, from a closed set of the step
	Detail string // never quotes payload
}

// Step is one processor. Process MUST NOT keep references into r after it returns and MUST be safe for
// concurrent use by several partitions.
type Step interface {
	Name() string
	Process(r *batch.Record) Verdict
}

// Chain runs its steps in order and stops at the first reject.
type Chain []Step

// Process runs the chain on one record.
func (c Chain) Process(r *batch.Record) Verdict {
	for _, step := range c {
		if v := step.Process(r); v.Action != ActionKeep {
			v.Stage = step.Name()
			return v
		}
	}
	return Verdict{}
}
