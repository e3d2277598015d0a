// Package schemacheck holds the tests that run the migrations of package ddl, the canned queries of package queries
// and the boards of package dashboards on a real ClickHouse. They stand here because the embedded engine is internal
// to cmd, and packages below must not import it.
package schemacheck
