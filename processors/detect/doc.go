// Package detect draws conclusions from the stream of events: calls outside their policy, credentials nobody
// registered, spend that leaves its usual range, budgets that run out.
//
// Detectors live in event time. They MUST NOT read a clock, do I/O, or keep a reference into an event after
// Observe has returned; everything they know comes from the events, the configuration and the History they were
// seeded with. Therefore state is never saved: a new owner of a partition replays the last Config.Lookback of it
// and arrives at the state the old owner had.
//
// The events topic is keyed by team, so one Set per Kafka partition sees each of its teams whole. A Set is used
// by one goroutine at a time.
//
// A finding's key is a hash over what the conclusion is about, so every repetition of a conclusion, by a replay,
// a restart or a second call, carries the same key. Delivering one notification per key is the work of the alert
// sinks.
package detect
