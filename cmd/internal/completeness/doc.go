// Package completeness compares what sources say they sent with what ClickHouse holds.
//
// It owns the judgement: Judge is a pure function of statements and counted rows, used by the command `completeness` and by
// the Checker that runs beside the role store. Both first wait until the store has consumed everything that Kafka held when
// the statements were read, so that a backlog is never taken for a loss.
package completeness
