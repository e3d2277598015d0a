package oracle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

// Row is one expected row.
type Row struct {
	Table string
	Phase int // of the record that it is made from: 1 request, 2 response, 0 poison
	Cells []string
}

// null is how ClickHouse's TabSeparated format writes NULL.
const null = `\N`

// Rows returns every row that call i must have, in every table. With refused the database takes no call for
// workload.MarkedModel: its answer is a dead letter.
func Rows(w *workload.Workload, i int, refused bool) []Row {
	c := w.Call(i)
	records := w.Records(i)
	if c.Poison != workload.NoPoison {
		return []Row{{DeadLetters.Name, 0, letter(&c, records[0].Value)}}
	}
	id := identityOf(&c)
	asked, answered := judged(&c, id, false), judged(&c, id, true)
	rows := []Row{
		{Envelopes.Name, 1, envelope(&c, id, asked, 1, len(records[0].Value))},
		{Payloads.Name, 1, payload(&c, id, "request", "application/json", c.RequestBody(), false)},
	}
	if refused && c.Marked {
		value := records[1].Value
		return append(rows, Row{DeadLetters.Name, 2, []string{c.ID, "sink", "violated_constraint", strconv.Itoa(len(value)), sha(value)}})
	}
	rows = append(rows, Row{Envelopes.Name, 2, envelope(&c, id, answered, 2, len(records[1].Value))}, Row{Calls.Name, 2, call(&c, id, answered)})
	if body := c.ResponseBody(); body != nil {
		rows = append(rows, Row{Payloads.Name, 2, payload(&c, id, "response", c.ContentType(), body, true)})
	}
	if c.Tool != nil {
		rows = append(rows, Row{ToolCalls.Name, 2, tool(&c, id, answered)})
	}
	return rows
}

func letter(c *workload.Call, value []byte) []string {
	reason := map[workload.Poison]string{
		workload.Garbage: "not_protobuf", workload.Empty: "empty_value", workload.FromLater: "unknown_schema_version",
		workload.Nameless: "missing_call_id", workload.Cut: "not_protobuf",
	}[c.Poison]
	return []string{c.ID, "wire", reason, strconv.Itoa(len(value)), sha(value)}
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func us(nanos int64) string { return strconv.FormatInt(nanos/1000, 10) }

func count(n int64) string { return strconv.FormatInt(n, 10) }

// since is a duration in microseconds, or NULL when the later moment never came.
func since(start, end int64) string {
	if end == 0 {
		return null
	}
	return us(end - start)
}

func list(items ...string) string {
	if len(items) == 0 {
		return "[]"
	}
	return "['" + strings.Join(items, "','") + "']"
}

// money writes 1e-12 USD as ClickHouse writes a Decimal(18, 12): without zeros at the end.
func money(pico int64) string {
	text := fmt.Sprintf("%d.%012d", pico/1e12, pico%1e12)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func envelope(c *workload.Call, id identity, v verdict, phase, size int) []string {
	name, observed, sequence := "request", c.Asked, c.Source.Request
	if phase == 2 {
		name, observed, sequence = "response", c.Ended, c.Source.Response
	}
	return []string{
		c.ID, name, us(c.Started), us(observed), "tap", c.Source.Instance, strconv.FormatUint(c.Source.Epoch, 10), strconv.FormatUint(sequence, 10), "0",
		workload.Gateway, c.Route(), c.Caller.Fingerprint, id.principal, id.team, id.app, c.Provider(), operation(c), c.Model,
		v.decision, v.rule, strconv.Itoa(size), "1", "0",
	}
}

func payload(c *workload.Call, id identity, phase, kind string, body []byte, response bool) []string {
	size := strconv.Itoa(len(body))
	return []string{
		c.ID, phase, id.team, us(c.Started), "redacted", "full", kind, "", size, size, hex.EncodeToString(c.Digest(response)), "", sha(body), "{}", "1", "0",
	}
}

func tool(c *workload.Call, id identity, v verdict) []string {
	return []string{
		c.ID, "0", c.Tool.Name, "function", "", c.Tool.ID, strconv.Itoa(len(c.Tool.Arguments)), id.team, id.app, c.Caller.Fingerprint, c.Provider(), c.Answered,
		v.decision, us(c.Started), "1", "0",
	}
}

func operation(c *workload.Call) string {
	if c.Kind == workload.Embeddings {
		return "embeddings"
	}
	return "chat"
}

func call(c *workload.Call, id identity, v verdict) []string {
	cells := []string{c.ID, us(c.Started), us(c.Ended), since(c.Started, c.Ended), since(c.Started, c.FirstByte), firstToken(c)}
	cells = append(cells, workload.Gateway, c.Route(), "POST", c.Host(), c.Path(), status(c), strconv.FormatBool(c.Streamed()), outcome(c))
	cells = append(cells, errorClass(c), errorType(c), c.ClientAddress(), workload.UserAgent, "req-"+c.ID, c.TraceID(), "")
	cells = append(cells, c.Caller.Fingerprint, c.Caller.Last4, c.Caller.Kind, c.Caller.ID, c.Caller.Status, id.principal, id.kind, c.EndUser)
	cells = append(cells, id.team, id.app, id.owner, id.purpose, id.costCenter, id.source, v.policy, v.version, v.decision, v.rule, v.reason)
	cells = append(cells, c.Provider(), operation(c), dialect(c), "", c.Model, c.Answered, c.ResponseID, tier(c))
	cells = append(cells, finish(c), offered(c), called(c))
	cells = append(cells, usage(c)...)
	cells = append(cells, cost(c)...)
	cells = append(cells, "redacted", "full", strconv.Itoa(len(c.RequestBody())), hex.EncodeToString(c.Digest(false)))
	if body := c.ResponseBody(); body != nil {
		cells = append(cells, "full", strconv.Itoa(len(body)), hex.EncodeToString(c.Digest(true)))
	} else {
		cells = append(cells, "unknown", "0", "")
	}
	return append(cells, "0", batchHeader(c), c.Source.Instance, "1", "0")
}
