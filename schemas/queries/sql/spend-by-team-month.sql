/*
name: spend-by-team-month
title: Spend by team and month
question: What did each team spend in each month, against which budget, and how much of it is not priced?
parameters:
  - name: team
    type: String
    default: ""
    description: Team id; empty means every team.
  - name: from
    type: DateTime('UTC')
    default: now-365d
    description: A time in the first month; the whole month counts.
  - name: to
    type: DateTime('UTC')
    default: now
    description: A time in the last month; the whole month counts.
*/
SELECT
    spent.month AS month,
    spent.team_id AS team_id,
    spent.calls AS calls,
    spent.errors AS errors,
    spent.in_tokens AS in_tokens,
    spent.out_tokens AS out_tokens,
    spent.cost_usd AS cost_usd,
    spent.unpriced_calls AS unpriced_calls,
    spent.calls_without_usage AS calls_without_usage,
    budget.monthly_budget_usd AS monthly_budget_usd,
    budget.used_share AS used_share,
    budget.directory_version AS directory_version
FROM
(
    SELECT
        toStartOfMonth(hour) AS month,
        team_id,
        sum(calls) AS calls,
        sum(errors) AS errors,
        sum(in_tokens) AS in_tokens,
        sum(out_tokens) AS out_tokens,
        sum(cost_usd) AS cost_usd,
        sum(unpriced_calls) AS unpriced_calls,
        sum(calls_without_usage) AS calls_without_usage
    FROM spend_hourly
    WHERE ({team:String} = '' OR team_id = {team:String})
      AND hour >= toStartOfMonth({from:DateTime('UTC')})
      AND toStartOfMonth(hour) <= toStartOfMonth({to:DateTime('UTC')})
    GROUP BY month, team_id
    HAVING calls != 0
) AS spent
LEFT JOIN v_budget_month AS budget ON budget.month = spent.month AND budget.team_id = spent.team_id
ORDER BY month, cost_usd DESC, team_id
