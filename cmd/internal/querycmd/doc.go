// Package querycmd owns the two commands by which people ask: `modeltrail query` runs a canned question or SQL on
// ClickHouse, `modeltrail tail` shows calls and findings as they pass through Kafka. It builds cobra commands; how
// to reach ClickHouse and Kafka is given by the caller.
//
// Exit codes: 0 when the command did its work, whether or not rows were found; 1 when it failed; 2 for ErrUsage;
// 3 for ErrExpectation, which only --expect can cause.
package querycmd
