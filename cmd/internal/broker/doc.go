// Package broker runs the embedded Kafka broker of `modeltrail up`: kfake, which speaks the real protocol (groups,
// idempotent producers, transactions), with its log on disk. Production uses Apache Kafka or anything that speaks its
// protocol. It owns the data folder, the address and the bound on disk space; topics are created by its clients.
//
// What is on disk after an acknowledged request, and so survives the end of the process in whatever way: records,
// topics and their settings, committed offsets with their metadata, producer ids. With SyncWrites it survives a loss
// of power too. Two things are kept by Close only: the sequence numbers by which a repeated batch of an idempotent
// producer is recognised, and the members of groups. After a kill a producer that repeats a batch it has no answer
// for may therefore store it twice.
package broker
