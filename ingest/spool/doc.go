// Package spool is a bounded log of records on disk: what is appended survives the end of the process, and is read
// again, in order, until it is retired.
//
// It owns one folder. Records lie in segments, files named by their first sequence and a random id; each record
// carries its length, its sequence and two checksums (CRC-32C) that are seeded with the segment's id, so that neither
// torn writes nor leftovers of other files are ever taken for records. docs/spool.md describes the format byte by
// byte.
//
//   - Append returns after write(2): the records survive a kill of the process. AppendDurable returns after fsync(2):
//     they survive a loss of power. Between the two lies one group fsync per sync_interval.
//   - A log never appends to a segment that an earlier process, or a failed write, has left: bytes of an unknown end
//     are truncated away and a new segment begins.
//   - A damaged part is skipped, counted and logged with its byte range. Intact records behind it are delivered.
//   - The bound counts the bytes of all segments. Beyond it, and when the disk refuses, Append returns an error and
//     nothing of the records is in the log; it works again when there is room again.
//   - With a key, records are sealed with AES-256-GCM. Their lengths and number stay visible.
//
// A Log is safe for concurrent use; one Reader at a time reads it.
package spool
