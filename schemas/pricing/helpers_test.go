package pricing_test

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
)

func decInt(n int64) decimal.Decimal { return decimal.NewFromInt(n) }

func mustClock(t *testing.T, text string) time.Duration {
	t.Helper()
	c, err := time.Parse("15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(c.Hour())*time.Hour + time.Duration(c.Minute())*time.Minute
}
