// Package ddl owns the ClickHouse schema of ModelTrail: tables, materialized views, views for people, retention
// and grants, and how a database is brought to that schema.
//
// Migrations are SQL templates in migrations/, embedded in the binary and numbered. The same template gives the
// schema of a single node and of a cluster: on a single node every name is a plain table, in a cluster "calls" is
// a Distributed table over "calls_local". Retention is not part of a migration: it is configuration, and Apply
// brings each table's TTL to the configured number of days on every run.
//
// Apply may run in several processes at once. Every statement is idempotent (IF NOT EXISTS or OR REPLACE), so two
// processes that apply the same migration at the same moment do the same work twice and end in the same state,
// and the record of an applied migration is inserted with a deduplication token. An applied migration whose
// text has changed since is refused.
package ddl
