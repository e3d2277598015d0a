// Package definition says what ModelTrail's boards show: every panel with its SQL. Its subcommand gen writes them as
// the JSON that Grafana loads; a test keeps both equal.
//
// Boards read spend_hourly where an hour is fine enough, because it stays small, and v_calls, the current rows, where
// percentiles or single calls are shown. A filter over calls bounds the ingest time too, which prunes monthly partitions; see
// package queries.
package definition

import "github.com/modeltrail/modeltrail/dashboards/board"

// All returns every board in the order in which a reader meets them.
func All() []board.Board {
	return []board.Board{overview(), spend(), policy()}
}

// The model of a call: what answered, else what was asked, else unknown, as in spend_hourly.
const callModel = "multiIf(response_model != '', response_model, request_model != '', request_model, 'unknown')"

const variableFilter = `
  AND $__conditionalAll(team_id IN (${team:sqlstring}), $team)
  AND $__conditionalAll(app_id IN (${app:sqlstring}), $app)
  AND $__conditionalAll(provider IN (${provider:sqlstring}), $provider)`

// callFilter selects calls of the board's range and variables.
const callFilter = `WHERE $__timeFilter(started_at) AND ingested_at >= $__fromTime - INTERVAL 1 DAY` + variableFilter + `
  AND $__conditionalAll(` + callModel + ` IN (${model:sqlstring}), $model)`

// spendFilter selects hours of the board's range and variables.
const spendFilter = `WHERE $__timeFilter(hour)` + variableFilter + `
  AND $__conditionalAll(model IN (${model:sqlstring}), $model)`

// failed is what counts as an error, as in spend_hourly.
const failed = "http_status = 0 OR http_status >= 400 OR stream_outcome IN ('upstream_abort', 'no_response')"
