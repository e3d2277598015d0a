// Package clickhouse writes envelopes, calls, payloads, tool calls, findings and dead letters to ClickHouse, each
// table's rows of one span as one INSERT of one Native block with the span's deduplication token.
//
// Rows are appended straight into columns that live as long as their partition: nothing is boxed, reflected or
// allocated per row, and a block is sent from the columns' own memory. The columns copy what they are given, so
// the caller may reuse a record as soon as an Append method returns.
//
// A row that the server refuses for good is a *Refusal. The caller then inserts parts of the Tables, which are cut out
// of the columns, under spans of their own.
//
// One INSERT must stay one block on the server: a repeated multi-block insert can lose rows when the server was
// killed between blocks. Therefore parallel parsing and asynchronous inserts are off, the block limits are above
// any batch, and Write refuses a batch beyond them.
package clickhouse
