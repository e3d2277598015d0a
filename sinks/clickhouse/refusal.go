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

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// Reasons of dead letters whose rows the server refused.
const (
	ReasonConstraint  = "violated_constraint"
	ReasonOutOfRange  = "value_out_of_range"
	ReasonIncorrect   = "incorrect_value"
	ReasonTooLarge    = "too_large"
	ReasonPartly      = "partly_stored" // other rows of the record had been stored before one was refused
	reasonUnspecified = "refused"
)

// Refusal is the error of an insert whose rows the server refuses for good.
type Refusal struct {
	Table string
	Code  int32 // the server's exception code; 0: the block is too large to be sent
	// Offset is that of the record of which the server complained, -1 where it did not say. It comes out of an error
	// text, so it may guide where to look and nothing else.
	Offset int64
	// Before says that the server refused the rows before it stored any of the insert's: a constraint of the table
	// itself, which it checks first. A view behind the table may fail after the rows were stored.
	Before bool
	err    error
}

// Error implements error.
func (r *Refusal) Error() string { return r.err.Error() }

// Unwrap gives the server's exception.
func (r *Refusal) Unwrap() error { return r.err }

// Reason is the class of the code, for a dead letter.
func Reason(code int32) string {
	switch code {
	case 0:
		return ReasonTooLarge
	case 469:
		return ReasonConstraint
	case 69, 128, 131, 321, 407:
		return ReasonOutOfRange
	case 27, 41, 70, 72, 117, 349, 691:
		return ReasonIncorrect
	}
	return reasonUnspecified
}

// violatedConstraint finds the table and the row, from 1, in the text of VIOLATED_CONSTRAINT. It begins where the text
// does: what follows quotes values.
var violatedConstraint = regexp.MustCompile("^(?:Code: \\d+\\. )?(?:DB::Exception: )*Constraint `[^`]*` for table ([^ ]+) (?:\\([-0-9a-f]+\\) )?is violated at row (\\d+)")

// refused reads a server's refusal of a block of database.
func refused(database string, b *block, err error) *Refusal {
	r := &Refusal{Table: b.name, Offset: -1, err: err}
	var exception *clickhousego.Exception
	if !errors.As(err, &exception) {
		return r
	}
	r.Code = exception.Code
	if m := violatedConstraint.FindStringSubmatch(exception.Message); m != nil && b.offsets != nil {
		r.Before = strings.ReplaceAll(m[1], "`", "") == database+"."+b.name
		if row, err := strconv.Atoi(m[2]); err == nil && row >= 1 && row <= b.rows() {
			r.Offset = b.offsets.values[row-1]
		}
	}
	return r
}

// fewOffsets is the number of records up to which each is asked for by its offset.
const fewOffsets = 128

// Stored returns which of t's records within span, but for those in omit, have rows in a table, and how many rows of
// theirs t has. A table of a refused insert is asked: an insert of an earlier attempt, of which no answer came, may have
// been stored before the server began to refuse its rows, and an error of a materialized view leaves the rows of its
// table.
func (w *Writer) Stored(ctx context.Context, t *Tables, table string, span batch.Span, omit []int64) (offsets []int64, want int, err error) {
	b := t.table(table)
	rows := b.without(span.First, span.Last, omit)
	if len(rows) == 0 {
		return nil, 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.InsertTimeout)
	defer cancel()
	asked, arrived := pick(b.offsets.values, rows), pick(b.arrived.values, rows)
	query := "SELECT offset FROM " + quote(w.cfg.Database) + "." + quote(table) + ` WHERE topic = ? AND partition = ? AND offset BETWEEN ? AND ?
		AND ingested_at >= fromUnixTimestamp64Milli(?) AND ingested_at <= fromUnixTimestamp64Milli(?)`
	args := []any{span.Topic, span.Partition, asked[0], asked[len(asked)-1], slices.Min(arrived), slices.Max(arrived)}
	if b.version != nil {
		query += " AND row_version = ?"
		args = append(args, t.version)
	}
	if len(asked) <= fewOffsets {
		query += " AND offset IN (?)"
		args = append(args, asked)
	}
	answer, err := w.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("look for rows of a refused insert in %s: %w", table, err)
	}
	defer func() { err = errors.Join(err, answer.Close()) }()
	for answer.Next() {
		var offset int64
		if err := answer.Scan(&offset); err != nil {
			return nil, 0, fmt.Errorf("look for rows of a refused insert in %s: %w", table, err)
		}
		if _, ok := slices.BinarySearch(asked, offset); ok {
			offsets = append(offsets, offset)
		}
	}
	return offsets, len(asked), answer.Err()
}

// Acknowledged makes a Write or WritePart under span pass over a table of which Stored found all rows.
func (t *Tables) Acknowledged(table string, span batch.Span) {
	for i, b := range t.order {
		if b.name == table && t.span == span {
			t.written[i] = true
		}
	}
}
