package definition

import "github.com/modeltrail/modeltrail/dashboards/board"

// spend answers: who spends how much on what, within which budget, and what is not priced?
func spend() board.Board {
	b := board.New("modeltrail-spend", "ModelTrail / Spend",
		"Cost by team, application, credential and model, and the month against its budget. Sums hold priced calls only; what is not priced is counted beside them.", "now-30d")
	b.Row(4,
		board.Stat(4, "Cost in range", "", "currencyUSD", `SELECT toFloat64(sum(cost_usd)) AS cost FROM spend_hourly `+spendFilter),
		board.Stat(4, "Month to date", "The calendar month (UTC) in which the range ends.", "currencyUSD",
			`SELECT toFloat64(sum(cost_usd)) AS cost FROM spend_hourly `+monthFilter),
		board.Stat(4, "Projected month", "Month to date, continued at the same pace to the month's end.", "currencyUSD",
			`SELECT toFloat64(sum(cost_usd)) * `+monthPace+` AS projected FROM spend_hourly `+monthFilter),
		board.Alarm(4, "Calls without a price", "Their cost is unknown and in no sum.", "short", 1,
			`SELECT sum(unpriced_calls) AS calls FROM spend_hourly `+spendFilter),
		board.Alarm(4, "Calls without usage", "Neither the provider nor the gateway gave token counts.", "short", 1,
			`SELECT sum(calls_without_usage) AS calls FROM spend_hourly `+spendFilter),
		board.Stat(4, "Input read from cache", "Share of known input tokens.", "percentunit",
			`SELECT sum(in_cache_read_tokens) / sum(in_tokens) AS share FROM spend_hourly `+spendFilter+` HAVING sum(in_tokens) > 0`),
	)
	spendBudget(b)
	b.Heading("Over time")
	b.Row(9,
		spendOverTime(8, "By team", "toString(team_id) AS team", "team"),
		spendOverTime(8, "By model", "toString(model) AS model_name", "model_name"),
		spendOverTime(8, "By application", "toString(app_id) AS application", "application"),
	)
	b.Heading("Who and what")
	b.Row(10,
		spendTable(12, "Teams and applications", "team_id, app_id, cost_center"),
		spendTable(12, "Models", "provider, model"),
	)
	b.Row(10, spendTable(24, "Credentials", "credential_fingerprint, team_id, app_id, provider"))
	return b.Board()
}

func spendBudget(b *board.Builder) {
	budget := board.Table(14, "Budgets", "Month to date by team against the budget in the directory, and the month projected at the same pace. Teams without a budget show none.", `SELECT
    team_id AS team,
    toFloat64(cost_usd) AS month_to_date,
    toFloat64(monthly_budget_usd) AS budget,
    used_share AS used,
    toFloat64(cost_usd) * `+monthPace+` AS projected,
    unpriced_calls,
    directory_version
FROM v_budget_month
WHERE month = toStartOfMonth($__toTime) AND $__conditionalAll(team_id IN (${team:sqlstring}), $team)
ORDER BY used DESC NULLS LAST, month_to_date DESC`,
		map[string]string{"month_to_date": "currencyUSD", "budget": "currencyUSD", "projected": "currencyUSD"})
	budget.Overrides = append(budget.Overrides, board.Gauge("used"))
	b.Heading("Budget")
	b.Row(9, budget,
		board.BarChart(10, "Spend by month", "The last twelve months.", "currencyUSD",
			`SELECT formatDateTime(toStartOfMonth(hour), '%Y-%m') AS month, toFloat64(sum(cost_usd)) AS cost
FROM spend_hourly WHERE hour >= toStartOfMonth($__toTime - INTERVAL 11 MONTH) AND hour <= $__toTime`+variableFilter+`
  AND $__conditionalAll(model IN (${model:sqlstring}), $model)
GROUP BY month ORDER BY month`),
	)
}

// monthFilter selects the calendar month in which the range ends, up to that end.
const monthFilter = `WHERE hour >= toStartOfMonth($__toTime) AND hour <= $__toTime` + variableFilter + `
  AND $__conditionalAll(model IN (${model:sqlstring}), $model)`

// monthPace is the factor from month to date to the whole month.
const monthPace = `(dateDiff('second', toDateTime(toStartOfMonth($__toTime)), toDateTime(toStartOfMonth($__toTime + INTERVAL 1 MONTH))) / greatest(dateDiff('second', toDateTime(toStartOfMonth($__toTime)), $__toTime), 3600))`

func spendOverTime(width int, title, column, label string) board.Spec {
	s := board.Bars(width, title, "", "currencyUSD", `SELECT $__timeInterval(hour) AS time, `+column+`, toFloat64(sum(cost_usd)) AS cost
FROM spend_hourly `+spendFilter+`
GROUP BY time, `+label+` ORDER BY time, `+label)
	s.Interval = "1h"
	return s.Named(label)
}

func spendTable(width int, title, keys string) board.Spec {
	return board.Table(width, title, "", `SELECT
    `+keys+`,
    toFloat64(sum(cost_usd)) AS cost,
    sum(calls) AS call_count,
    sum(in_tokens) AS input_tokens,
    sum(out_tokens) AS output_tokens,
    sum(unpriced_calls) AS without_price,
    sum(calls_without_usage) AS without_usage
FROM spend_hourly `+spendFilter+`
GROUP BY `+keys+` ORDER BY cost DESC LIMIT 100`,
		map[string]string{"cost": "currencyUSD", "input_tokens": "short", "output_tokens": "short"})
}
