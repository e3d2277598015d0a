// Package workload makes the calls of a conservation test. Call number i of a seed is always the same call: who made
// it, what was asked, what was answered, in which bytes. The producer turns a call into the envelopes that a tap
// would publish; the oracle derives from the same numbers, not from the bytes, what must be stored of it.
package workload
