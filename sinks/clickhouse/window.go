package clickhouse

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// windowWarning is the share of the deduplication window from which on the log warns.
const windowWarning = 0.5

// window measures how much of the tables' deduplication windows the unfinished batches have used up. A table forgets
// a token after that many other inserts, so a batch that takes longer could be stored twice. Only the inserts of this
// process are known to it. It is a prometheus.Collector and safe for concurrent use.
type window struct {
	size uint32
	log  zerolog.Logger
	use  *prometheus.Desc

	mu     sync.Mutex
	counts map[string]uint64 // inserts by table
	open   map[*Tables]*openBatch
}

type openBatch struct {
	span   batch.Span
	begun  map[string]uint64 // counts when the batch's first insert began
	warned bool
}

func newWindow(set Settings) *window {
	return &window{
		size: set.Window, log: set.Logger.With().Str("component", "clickhouse").Logger(),
		use: prometheus.NewDesc("modeltrail_clickhouse_dedup_window_use_ratio",
			"Inserts of this process since the oldest unfinished batch began, as a share of the table's deduplication window.", []string{"table"}, nil),
		counts: make(map[string]uint64), open: make(map[*Tables]*openBatch),
	}
}

// begin notes that t is inserted under span from now on; a repetition of the same span goes on.
func (w *window) begin(t *Tables, span batch.Span) {
	if w.size == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.window = w
	if o := w.open[t]; o != nil && o.span == span {
		return
	}
	o := &openBatch{span: span, begun: make(map[string]uint64, len(w.counts))}
	for table, n := range w.counts {
		o.begun[table] = n
	}
	w.open[t] = o
}

// end forgets t: its batch is stored and committed.
func (w *window) end(t *Tables) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, t)
}

// inserted counts one insert, successful or not, and warns for batches that have waited for long.
func (w *window) inserted(table string) {
	if w.size == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[table]++
	for _, o := range w.open {
		if used := w.share(o, table); used > windowWarning && !o.warned {
			o.warned = true
			w.log.Warn().Str("table", table).Float64("window_used", used).Str("topic", o.span.Topic).Int32("partition", o.span.Partition).
				Int64("offset", o.span.First).Msg("batch is unfinished since half of the deduplication window; finish it or raise schema.deduplication_window")
		}
	}
}

func (w *window) share(o *openBatch, table string) float64 {
	return float64(w.counts[table]-o.begun[table]) / float64(w.size)
}

// Describe implements prometheus.Collector.
func (w *window) Describe(ch chan<- *prometheus.Desc) { ch <- w.use }

// Collect implements prometheus.Collector.
func (w *window) Collect(ch chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for table := range w.counts {
		used := 0.0
		for _, o := range w.open {
			used = max(used, w.share(o, table))
		}
		ch <- prometheus.MustNewConstMetric(w.use, prometheus.GaugeValue, used, table)
	}
}
