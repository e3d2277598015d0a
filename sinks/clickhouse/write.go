package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// One block must stay one block on the server. These are the limits at which it would be cut, and the limits,
// below them, beyond which a batch is refused.
const (
	serverBlockRows  = 1_048_449
	serverBlockBytes = 268_402_944
	maxBlockRows     = 1_000_000
	maxBlockBytes    = 256_000_000
)

var errTooLarge = errors.New("batch exceeds one insert block")

// Settings is what code supplies to a Writer.
type Settings struct {
	Cluster    string // name of the Kafka cluster, the first part of every token
	Registerer prometheus.Registerer
	Logger     zerolog.Logger
	Window     uint32 // deduplication window of the tables in inserts; 0: its use is not measured
	Faults     Faults // nothing in production
}

// Faults break the guarantees on purpose, so that tests can show that they would notice. The zero value breaks none.
type Faults struct {
	Midway func()                    // called when half of a block's bytes have been sent
	Token  func(token string) string // replaces the token of an insert
	Cut    func(rows int) []int      // where a block is cut into several, ascending row numbers; HTTP only
}

// Writer inserts batches. It is safe for concurrent use by several partitions, each with its own Tables.
type Writer struct {
	conn    driver.Conn
	cfg     Config
	cluster string
	faults  Faults
	metrics *metrics
	window  *window
}

type metrics struct {
	seconds  *prometheus.HistogramVec
	rows     *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	errors   *prometheus.CounterVec
	adjusted *prometheus.CounterVec
}

// NewWriter returns a Writer over a connection from Open with the same Config.
func NewWriter(conn driver.Conn, cfg Config, set Settings) (*Writer, error) {
	if set.Cluster == "" {
		return nil, errors.New("create clickhouse writer: settings lack the Kafka cluster's name")
	}
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "modeltrail_clickhouse_insert_seconds", Help: "Time of one insert.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 12),
		}, []string{"table"}),
		rows:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "modeltrail_clickhouse_inserted_rows_total", Help: "Rows inserted, repeats of an acknowledged block not counted."}, []string{"table"}),
		bytes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "modeltrail_clickhouse_inserted_bytes_total", Help: "Bytes of the inserted blocks before compression."}, []string{"table"}),
		errors:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "modeltrail_clickhouse_insert_errors_total", Help: "Failed inserts by class."}, []string{"table", "class"}),
		adjusted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "modeltrail_clickhouse_adjusted_values_total", Help: "Values that did not fit their column and were clamped or left null."}, []string{"column"}),
	}
	for _, c := range []prometheus.Collector{m.seconds, m.rows, m.bytes, m.errors, m.adjusted} {
		if err := set.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register clickhouse metrics: %w", err)
		}
	}
	w := &Writer{conn: conn, cfg: cfg, cluster: set.Cluster, faults: set.Faults, metrics: m, window: newWindow(set)}
	if err := set.Registerer.Register(w.window); err != nil {
		return nil, fmt.Errorf("register clickhouse metrics: %w", err)
	}
	return w, nil
}

// Write inserts every table that has rows, one block each, under the span's token. nil means that the server
// acknowledged all of them. After an error the call may be repeated with the same span; tables that were
// acknowledged are not sent again, the others carry the same token and are dropped where the server has them. An error
// with a *Refusal in it is not mended by repeating.
func (w *Writer) Write(ctx context.Context, t *Tables, span batch.Span) error {
	return w.write(ctx, t, span, func(b *block) *block { return b })
}

// WritePart is Write for the rows of the records whose offsets the span covers but for those in omit, which ascends.
// Tables that skip names are left out.
func (w *Writer) WritePart(ctx context.Context, t *Tables, span batch.Span, omit []int64, skip func(table string) bool) error {
	return w.write(ctx, t, span, func(b *block) *block {
		rows := b.without(span.First, span.Last, omit)
		if len(rows) == 0 || skip(b.name) {
			return nil
		}
		return b.slice(rows)
	})
}

func (w *Writer) write(ctx context.Context, t *Tables, span batch.Span, choose func(*block) *block) error {
	w.window.begin(t, span)
	if t.span != span {
		clear(t.written)
		t.span = span
	}
	for i, b := range t.order {
		if b.rows() == 0 || t.written[i] {
			continue
		}
		if part := choose(b); part != nil {
			if err := w.insert(ctx, part, span); err != nil {
				return err
			}
		}
		t.written[i] = true
	}
	for column, n := range t.adjusted {
		w.metrics.adjusted.WithLabelValues(column).Add(float64(n))
	}
	clear(t.adjusted)
	return nil
}

// WriteTable inserts one table's rows of the records whose offsets the span covers, under the span's token.
func (w *Writer) WriteTable(ctx context.Context, t *Tables, table string, span batch.Span) error {
	b := t.table(table)
	from, to := b.within(span.First, span.Last)
	if from == to {
		return nil
	}
	return w.insert(ctx, b.slice([]run{{from, to}}), span)
}

func (w *Writer) insert(ctx context.Context, b *block, span batch.Span) error {
	err := w.send(ctx, b, span)
	w.window.inserted(b.name)
	if err == nil {
		return nil
	}
	class := Classify(err)
	w.metrics.errors.WithLabelValues(b.name, string(class)).Inc()
	if class == ClassPermanent {
		err = refused(w.cfg.Database, b, err)
	}
	return fmt.Errorf("insert %s (%s): %w", b.name, class, err)
}

func (w *Writer) send(ctx context.Context, b *block, span batch.Span) error {
	if err := b.check(); err != nil {
		return err
	}
	rows, bytes := b.rows(), b.bytes()
	if rows > maxBlockRows || bytes > maxBlockBytes {
		return fmt.Errorf("%w: %d rows, %d bytes", errTooLarge, rows, bytes)
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.InsertTimeout)
	defer cancel()
	token := span.Token(w.cluster, b.name, event.SchemaVersion)
	if w.faults.Token != nil {
		token = w.faults.Token(token)
	}
	settings := insertSettings(token)
	started := time.Now()
	var err error
	if w.cfg.Protocol == ProtocolHTTP {
		err = w.insertHTTP(ctx, b, settings)
	} else {
		err = w.insertNative(ctx, b, settings)
	}
	if err != nil {
		return err
	}
	w.metrics.seconds.WithLabelValues(b.name).Observe(time.Since(started).Seconds())
	w.metrics.rows.WithLabelValues(b.name).Add(float64(rows))
	w.metrics.bytes.WithLabelValues(b.name).Add(float64(bytes))
	return nil
}

// insertSettings pins everything on which "same token, same rows, once" depends; server defaults differ by version.
func insertSettings(token string) clickhousego.Settings {
	return clickhousego.Settings{
		"async_insert":               0,
		"insert_deduplicate":         1,
		"insert_deduplication_token": token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		"input_format_parallel_parsing":                      0,
		"max_insert_block_size":                              serverBlockRows,
		"min_insert_block_size_rows":                         serverBlockRows,
		"min_insert_block_size_bytes":                        serverBlockBytes,
		"distributed_foreground_insert":                      1, // nil means stored, not queued for a shard
	}
}
