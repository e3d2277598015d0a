package spool

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	bytes, records, age                       prometheus.GaugeFunc
	appended, retired, corrupt, torn, refused prometheus.Counter
	fsync                                     prometheus.Histogram
}

func newMetrics(l *Log) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string, f func() float64) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	return metrics{
		bytes: gauge("modeltrail_spool_bytes", "Size of all segments.", func() float64 { return float64(l.Bytes()) }),
		records: gauge("modeltrail_spool_pending_records", "Records that are not retired.", func() float64 {
			first, last := l.Pending()
			return float64(last + 1 - first)
		}),
		age: gauge("modeltrail_spool_oldest_age_seconds", "Age of the oldest record that is not retired, 0 without one.",
			func() float64 { return l.OldestAge().Seconds() }),
		appended: counter("modeltrail_spool_appended_records_total", "Records written."),
		retired:  counter("modeltrail_spool_retired_records_total", "Records that are no longer needed."),
		corrupt:  counter("modeltrail_spool_corrupt_ranges_total", "Damaged ranges of bytes that were passed over."),
		torn:     counter("modeltrail_spool_torn_bytes_total", "Bytes of torn writes that were truncated at the start."),
		refused:  counter("modeltrail_spool_refused_records_total", "Records that could not be written, at the bound or by the disk."),
		fsync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "modeltrail_spool_fsync_duration_seconds", Help: "Time of one fsync.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5},
		}),
	}
}

func (m metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.bytes, m.records, m.age, m.appended, m.retired, m.corrupt, m.torn, m.refused, m.fsync} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register spool metrics: %w", err)
		}
	}
	return nil
}
