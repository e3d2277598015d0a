// Package failpoint gives the consumer roles hooks by which a test kills this process at a chosen point of a delivery,
// or breaks a guarantee on purpose to show that the test would notice. The hooks exist only in binaries built with
// -tags chaos; in all others New returns none, whatever the environment says.
package failpoint

import (
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// Environment variables of a chaos build.
const (
	// EnvPoint is <point>:<n>: the process kills itself when it passes the point for the n-th time. Points are W0
	// (before a plan is committed), W1 (planned, nothing inserted), W2 (in the middle of an insert), W3 (inserted, not
	// committed) and W4 (committed).
	EnvPoint = "MODELTRAIL_FAILPOINT"
	// EnvFault is new_token (each attempt of an insert has a token of its own), shift_boundary (a plan that is found
	// is repeated one offset shorter or longer) or multi_block (a block is cut into several at random).
	EnvFault = "MODELTRAIL_FAULT"
)

// Hooks are what the consumers and writers of a process get.
type Hooks struct {
	Stream     stream.Faults
	ClickHouse clickhouse.Faults
}
