// Package publish sends envelopes to Kafka without ever making its caller wait for a broker.
//
// It owns everything that is between the capture and the brokers: one line of envelopes in the order in which they
// came, of which a bounded window is in the hands of the Kafka client. What an envelope waits in is its durability:
//
//   - memory: bounded memory; what does not fit is refused at once.
//   - spill: memory while Kafka takes what comes; when Kafka lags, the spool on disk, until the line is short again.
//   - spool-first: the spool, and only then Kafka.
//
// Order holds over all of them: what is in the spool stands there in the order of the line, and the line is sent in
// order. A record is retired from the spool when the brokers have acknowledged it and all before it. Every envelope
// ends in exactly one of the counts published, dropped (by reason) and in flight.
//
// The client is built and closed by the caller with the options of Config.Options; the spool is opened and closed by
// the caller too.
package publish
