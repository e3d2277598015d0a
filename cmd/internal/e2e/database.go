package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// Tables are the tables that hold rows of calls, findings and dead letters.
func Tables() []string {
	return []string{"envelopes", "calls", "payloads", "tool_calls", "findings", "dead_letters", "dead_letter_resolutions", "replays", "source_statements", "source_completeness", "spend_hourly", "team_budgets", "credential_inventory"}
}

// ClickHouse returns a connection as the user that may only read. It is closed with the test.
func (n *Node) ClickHouse() driver.Conn {
	n.t.Helper()
	e, err := n.endpoints()
	if err != nil {
		n.t.Fatal(err)
	}
	return n.connect(e.User, e.Password)
}

// AdminClickHouse returns a connection as the user that may change tables. It is closed with the test.
func (n *Node) AdminClickHouse() driver.Conn {
	n.t.Helper()
	password, err := os.ReadFile(filepath.Join(n.DataDir, "engine", "admin.password"))
	if err != nil {
		n.t.Fatal(err)
	}
	return n.connect("modeltrail", strings.TrimSpace(string(password)))
}

func (n *Node) connect(user, password string) driver.Conn {
	n.t.Helper()
	e, err := n.endpoints()
	if err != nil {
		n.t.Fatal(err)
	}
	cfg := clickhouse.DefaultConfig()
	cfg.Addr, cfg.Protocol, cfg.Database = e.ClickHouseAddr, e.ClickHouseProtocol, e.ClickHouseDatabase
	cfg.User, cfg.Password = user, secret.New(password)
	conn, err := clickhouse.Open(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Query sends one statement over plain HTTP as the user that may only read and returns the answer's text, for
// example `SELECT ... FORMAT JSONEachRow`. The default format is TabSeparated.
func (n *Node) Query(statement string) string {
	n.t.Helper()
	answer, err := n.query(statement)
	if err != nil {
		n.t.Fatal(err)
	}
	return answer
}

func (n *Node) query(statement string) (string, error) {
	e, err := n.endpoints()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	address := e.SQLURL + "/?" + url.Values{"database": {e.ClickHouseDatabase}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	request.SetBasicAuth(e.User, e.Password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("query %q: %s: %s", statement, response.Status, strings.TrimSpace(string(body)))
	}
	return strings.TrimSuffix(string(body), "\n"), nil
}

// Count returns the number of rows that a table holds under a condition; "" counts all.
func (n *Node) Count(table, where string) (int, error) {
	if where != "" {
		where = " WHERE " + where
	}
	answer, err := n.query("SELECT count() FROM " + table + where)
	if err != nil {
		return 0, err
	}
	var count int
	_, err = fmt.Sscan(answer, &count)
	return count, err
}

// WaitCount waits until a table holds at least want rows under a condition and fails when it holds more.
func (n *Node) WaitCount(table, where string, want int) {
	n.t.Helper()
	n.Eventually(30*time.Second, fmt.Sprintf("%d rows in %s where %s", want, table, where), func() error {
		have, err := n.Count(table, where)
		if err == nil && have > want {
			n.t.Fatalf("%s has %d rows where %s; want %d", table, have, where, want)
		}
		if err == nil && have < want {
			err = fmt.Errorf("%d rows", have)
		}
		return err
	})
}

// Stable waits until the envelopes topic has stopped growing for half a second and the store has a row for every
// record of it. It returns what the partitions hold.
func (n *Node) Stable() map[int32]Range {
	n.t.Helper()
	var ends map[int32]Range
	var since time.Time
	n.Eventually(30*time.Second, "every envelope is a row", func() error {
		now, records := n.Ends(n.Topics().Envelopes), 0
		if !maps.Equal(now, ends) {
			ends, since = now, time.Now()
		}
		for _, partition := range ends {
			records += int(partition.End - partition.Start)
		}
		have, err := n.Count("envelopes", "")
		if err == nil && (have < records || time.Since(since) < 500*time.Millisecond) {
			err = fmt.Errorf("%d rows of %d, the last one %s ago", have, records, time.Since(since))
		}
		return err
	})
	return ends
}

// CheckComplete fails the test unless every record of the envelopes topic is exactly one row, every stored response
// is exactly one call and every rejected record is exactly one dead letter. No call may be under way.
func (n *Node) CheckComplete() {
	n.t.Helper()
	for id, partition := range n.Stable() {
		records := partition.End - partition.Start
		if records == 0 {
			continue
		}
		answer := n.Query(fmt.Sprintf("SELECT count(), uniqExact(offset), min(offset), max(offset) FROM v_envelopes WHERE partition = %d", id))
		want := fmt.Sprintf("%d\t%d\t%d\t%d", records, records, partition.Start, partition.End-1)
		if answer != want {
			n.t.Errorf("partition %d: rows, offsets, first and last are %q; want %q", id, answer, want)
		}
	}
	for what, statement := range map[string]string{
		"calls that stand twice":                       "SELECT count() - uniqExact(call_id) FROM v_calls",
		"responses that are no call":                   "SELECT (SELECT count() FROM v_envelopes WHERE status = 'stored' AND phase = 'response') - (SELECT count() FROM v_calls)",
		"rejected records that are no dead letter":     "SELECT (SELECT count() FROM v_envelopes WHERE status = 'rejected') - (SELECT count() FROM v_dead_letters)",
		"dead letters that stand twice":                "SELECT count() - uniqExact(topic, partition, offset) FROM dead_letters",
		"calls that the hourly spend has not or twice": "SELECT (SELECT sum(calls) FROM spend_hourly) - toInt64((SELECT count() FROM v_calls))",
	} {
		n.Eventually(10*time.Second, what, func() error { // tables are written one after the other
			answer, err := n.query(statement)
			if err == nil && answer != "0" {
				err = errors.New(answer)
			}
			return err
		})
	}
}

// DumpTables returns every byte of every table as text, for a search after what must not be there. Binary columns
// stand as they are and once more in base64.
func (n *Node) DumpTables() string {
	n.t.Helper()
	var text strings.Builder
	for _, table := range Tables() {
		rows := n.Query("SELECT * FROM " + table + " FORMAT JSONEachRow")
		fmt.Fprintf(&text, "== table %s\n%s\n", table, rows)
	}
	for _, column := range []string{"payloads.body", "dead_letters.record_value"} {
		table, name, _ := strings.Cut(column, ".")
		rows := n.Query("SELECT hex(" + name + ") FROM " + table)
		fmt.Fprintf(&text, "== column %s in hex\n%s\n", column, rows)
	}
	return text.String()
}

// encodings returns the forms in which a text could stand in a dump.
func encodings(text string) []string {
	return []string{text, fmt.Sprintf("%X", text), fmt.Sprintf("%x", text), base64.StdEncoding.EncodeToString([]byte(text))}
}
