// Package e2e runs the real modeltrail program as a child process and looks at it from outside: through the tap,
// Kafka, ClickHouse, its exit code and its log. It holds the harness; the tests beside it use nothing else.
package e2e
