// Package stream is the only Kafka consumer of the pipeline. It turns each assigned partition into a row of
// batches and delivers every batch effectively once.
//
// A batch covers a span of offsets [first, last] of one partition. Its life:
//
//  1. records are added until rows, bytes or the flush interval cut it;
//  2. the plan is committed: offset first with metadata "v1;<last>" under the group's generation;
//  3. Deliver makes it durable, repeated with backoff until it returns nil;
//  4. offset last+1 is committed with empty metadata.
//
// A successor that finds a plan reads exactly [first, last] again and delivers the same span, so a sink that
// knows spans (by a deduplication token, a key, a file name) drops what it already has. A member that lost its
// partition cannot plan: the coordinator refuses its generation before anything is inserted.
//
// A Stepwise batch may take several steps for a span: each is a plan of its own, committed before it is carried out,
// with an earlier end or with a note in which the batch keeps what it has decided ("v1;<last>;<note>"). A sink that
// refuses some rows for good is asked by parts that way, and a crash between two parts changes nothing.
//
// A span may contain holes (compaction, aborted transactions, control records): only offsets count. The package
// knows nothing of what a record holds; what cannot be processed becomes a reject inside the Batch.
//
// Commits refused because of a rebalance are repeated under the newer generation for as long as the partition
// stays with this member. That is safe because losing a partition always passes through the revoke or lost
// callback, and these return only when the partition's goroutine has ended.
package stream
