package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/modeltrail/modeltrail/cmd/internal/history"
	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/processors/detect"
)

// budgets reads a team's monthly budget from the directory version in force.
func budgets(follower *history.Follower) detect.BudgetFunc {
	return func(team string, at time.Time) (detect.Amount, bool) {
		d, ok := follower.Directory.At(at)
		if !ok {
			return detect.Amount{}, false
		}
		t, ok := d.Team(team)
		if !ok || !t.MonthlyBudgetUSD.Valid {
			return detect.Amount{}, false
		}
		return detect.AmountFromDecimal(t.MonthlyBudgetUSD.Decimal), true
	}
}

// writeBudgets records the budgets that a directory version declares, for the boards. Writing a version again is
// harmless: the insert carries the version as its token.
func writeBudgets(ctx context.Context, conn driver.Conn, database string, loaded history.Loaded) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	rows := 0
	query := fmt.Sprintf("INSERT INTO %s.team_budgets (team_id, effective_from, monthly_budget_usd, directory_version, loaded_at)", database)
	batch, err := conn.PrepareBatch(tokenContext(ctx, "budgets/"+loaded.Version), query)
	if err != nil {
		return fmt.Errorf("prepare budgets: %w", err)
	}
	for _, team := range loaded.Directory.Teams() {
		if !team.MonthlyBudgetUSD.Valid {
			continue
		}
		rows++
		if err := batch.Append(team.ID, loaded.Effective, team.MonthlyBudgetUSD.Decimal, loaded.Version, loaded.Effective); err != nil {
			return errors.Join(fmt.Errorf("append budget: %w", err), batch.Abort())
		}
	}
	if rows == 0 {
		return batch.Abort()
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert budgets: %w", err)
	}
	return nil
}

// spendHistory reads what teams spent before the events topic begins.
func spendHistory(conn driver.Conn, database string) role.SpendHistory {
	query := fmt.Sprintf(`SELECT team_id, toStartOfHour(toDateTime(ended_at, 'UTC')) AS hour, toInt64(sum(cost_usd) * 1000000000000)
FROM %s.v_calls WHERE cost_usd IS NOT NULL AND ended_at >= ? AND ingested_at < ? GROUP BY team_id, hour`, database)
	return func(ctx context.Context, since, before time.Time) ([]detect.HourlySpend, error) {
		rows, err := conn.Query(ctx, query, since.UTC(), before.UTC())
		if err != nil {
			return nil, fmt.Errorf("read spend history: %w", err)
		}
		defer rows.Close()
		var spend []detect.HourlySpend
		for rows.Next() {
			var h detect.HourlySpend
			if err := rows.Scan(&h.TeamID, &h.Hour, &h.PicoUSD); err != nil {
				return nil, fmt.Errorf("read spend history: %w", err)
			}
			spend = append(spend, h)
		}
		return spend, rows.Err()
	}
}
