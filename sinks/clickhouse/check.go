package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// ErrNoDeduplication reports a table that would store a repeated insert twice.
var ErrNoDeduplication = errors.New("table does not deduplicate inserts")

// ErrNoTable reports a table that does not exist.
var ErrNoTable = errors.New("table does not exist")

// ErrSettings reports a server that does not take the settings of an insert.
var ErrSettings = errors.New("server does not take the settings that deduplication rests on")

// Guarantee is what the tables must promise at least. Zero values ask for any window at all.
type Guarantee struct {
	Window  uint32 // inserts that a table remembers
	Seconds uint32 // how long a replicated table remembers them
}

// CheckTables refuses tables that do not exist or would store a repeated insert twice. It is called once at start:
// a pipeline that cannot repeat an insert safely must not begin.
func CheckTables(ctx context.Context, conn driver.Conn, database string, tables ...string) error {
	return CheckGuarantee(ctx, conn, database, Guarantee{}, tables...)
}

// CheckGuarantee is CheckTables for windows of a size. Each error names the table and the ALTER that mends it.
func CheckGuarantee(ctx context.Context, conn driver.Conn, database string, g Guarantee, tables ...string) error {
	var errs []error
	for _, table := range tables {
		engine, create, err := describe(ctx, conn, database, table)
		if err == nil && engine == "Distributed" {
			table += "_local"
			engine, create, err = describe(ctx, conn, database, table)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := g.check(engine, create); err != nil {
			errs = append(errs, fmt.Errorf("check table %s.%s: %w", database, table, mend(err, database, table)))
		}
	}
	return errors.Join(errs...)
}

func describe(ctx context.Context, conn driver.Conn, database, table string) (engine, create string, err error) {
	rows, err := conn.Query(ctx, "SELECT engine, create_table_query FROM system.tables WHERE database = ? AND name = ?", database, table)
	if err != nil {
		return "", "", fmt.Errorf("check table %s.%s: %w", database, table, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return "", "", fmt.Errorf("check table %s.%s: %w", database, table, err)
		}
		return "", "", fmt.Errorf("check table %s.%s: %w; run `modeltrail migrate`", database, table, ErrNoTable)
	}
	if err := rows.Scan(&engine, &create); err != nil {
		return "", "", fmt.Errorf("check table %s.%s: %w", database, table, err)
	}
	return engine, create, nil
}

// shortWindow says which setting of a table is below what is asked.
type shortWindow struct {
	setting   string
	has, asks uint64
}

// Error implements error.
func (e *shortWindow) Error() string {
	if e.has == 0 {
		return fmt.Sprintf("%v: %s is 0, not %d", ErrNoDeduplication, e.setting, e.asks)
	}
	return fmt.Sprintf("%v for as long as is asked: %s is %d, not %d", ErrNoDeduplication, e.setting, e.has, e.asks)
}

// Unwrap makes a table with a short window one that does not deduplicate.
func (e *shortWindow) Unwrap() error { return ErrNoDeduplication }

func mend(err error, database, table string) error {
	var short *shortWindow
	if !errors.As(err, &short) {
		return err
	}
	return fmt.Errorf("%w; a repeated insert could be stored twice: ALTER TABLE %s.%s MODIFY SETTING %s = %d", err, quote(database), quote(table), short.setting, short.asks)
}

// Windows of a server's replicated tables where the table names none.
const (
	serverWindow        = 10_000
	serverWindowSeconds = 3600
	leastWindow         = 10_000 // proposed for a table without a window
	leastWindowSeconds  = 1
)

var windowSetting = regexp.MustCompile(`(non_replicated_deduplication_window|replicated_deduplication_window_seconds|replicated_deduplication_window) = (\d+)`)

// check reads the windows out of a CREATE TABLE statement. Replicated tables have one by default, plain ones have none.
func (g Guarantee) check(engine, create string) error {
	if !strings.HasSuffix(engine, "MergeTree") {
		return fmt.Errorf("%w: its engine is %s", ErrNoDeduplication, engine)
	}
	has := map[string]uint64{"replicated_deduplication_window": serverWindow, "replicated_deduplication_window_seconds": serverWindowSeconds}
	for _, m := range windowSetting.FindAllStringSubmatch(create, -1) {
		if n, err := strconv.ParseUint(m[2], 10, 64); err == nil {
			has[m[1]] = n
		}
	}
	asks := []shortWindow{{setting: "non_replicated_deduplication_window", asks: uint64(g.Window)}}
	if strings.HasPrefix(engine, "Replicated") {
		asks = []shortWindow{
			{setting: "replicated_deduplication_window", asks: uint64(g.Window)},
			{setting: "replicated_deduplication_window_seconds", asks: max(uint64(g.Seconds), leastWindowSeconds)},
		}
	}
	var errs []error
	for _, short := range asks {
		if short.has = has[short.setting]; short.has < max(short.asks, 1) {
			if short.asks == 0 {
				short.asks = leastWindow
			}
			errs = append(errs, &short)
		}
	}
	return errors.Join(errs...)
}

// CheckSettings refuses a server that does not know, or does not let this user set, what every insert sets: without
// them a repeated insert could be stored twice, in a table or in the views behind it.
func CheckSettings(ctx context.Context, conn driver.Conn) (err error) {
	wanted := insertSettings("modeltrail start check")
	names := make([]string, 0, len(wanted))
	for name := range wanted {
		names = append(names, name)
	}
	slices.Sort(names)
	rows, err := conn.Query(ctx, "SELECT name, readonly FROM system.settings WHERE name IN (?)", names)
	if err != nil {
		return fmt.Errorf("check settings: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	known := map[string]uint8{}
	for rows.Next() {
		var name string
		var fixed uint8
		if err := rows.Scan(&name, &fixed); err != nil {
			return fmt.Errorf("check settings: %w", err)
		}
		known[name] = fixed
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("check settings: %w", err)
	}
	if err := settable(names, known); err != nil {
		return err
	}
	var one uint8
	if err := conn.QueryRow(clickhousego.Context(ctx, clickhousego.WithSettings(wanted)), "SELECT 1").Scan(&one); err != nil {
		if Classify(err) == ClassConfig {
			return fmt.Errorf("%w: %w; change the constraints of this user's settings profile", ErrSettings, err)
		}
		return fmt.Errorf("check settings: %w", err)
	}
	return nil
}

// settable compares the settings of an insert with those of the server, of which 1 marks what a user may not change.
func settable(names []string, known map[string]uint8) error {
	var errs []error
	for _, name := range names {
		if fixed, ok := known[name]; !ok {
			errs = append(errs, fmt.Errorf("%w: it does not know %s; use a newer ClickHouse", ErrSettings, name))
		} else if fixed == 1 {
			errs = append(errs, fmt.Errorf("%w: this user may not change %s; remove its READONLY constraint", ErrSettings, name))
		}
	}
	return errors.Join(errs...)
}
