// Package publish sends envelopes to Kafka without ever making its caller wait.
//
// It owns the memory of envelopes that wait for a broker: their bytes are bounded, what does not fit is refused at
// once, and every envelope ends in exactly one of the counts published, dropped (by reason) and in flight. The
// client is built and closed by the caller with the options of Config.Options.
package publish
