// Package engine runs ClickHouse beside the program, so that one command on a fresh machine works with no server
// installed. It owns the data folder, the child process that holds ClickHouse, the two users and the address
// others connect to; it never speaks SQL for anybody else.
//
// In library mode ClickHouse is libchdb, loaded by a child process of this very program (Main) that serves
// ClickHouse's HTTP interface. In server mode it is a `clickhouse` binary, which serves the native protocol too.
// Either way the engine listens on loopback only, and a dead child is started again on the same address.
//
// An INSERT that was answered with status 200 MUST survive the death of the child and of the machine's processes;
// what survives a loss of power is up to the tables' own fsync settings. The data folder MUST belong to one
// process at a time; a second one gets ErrInUse.
package engine
