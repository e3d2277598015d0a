package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reasons of a drop.
const (
	reasonBufferFull = "buffer_full"
	reasonClosed     = "closed"
	reasonTimeout    = "timeout"
	reasonTooLarge   = "too_large"
	reasonAborted    = "shutdown"
	reasonAuth       = "not_authorized"
	reasonOther      = "other"
	// reasonSpoolFull: spool and memory are full.
	reasonSpoolFull = "spool_full"
	// reasonSpoolFailed: the disk refuses and memory is full.
	reasonSpoolFailed = "spool_failed"
	// reasonSpoolDamage: lost in the spool's files.
	reasonSpoolDamage = "spool_damage"
)

func reasons() []string {
	return []string{
		reasonBufferFull, reasonClosed, reasonTimeout, reasonTooLarge, reasonAborted, reasonAuth, reasonOther,
		reasonSpoolFull, reasonSpoolFailed, reasonSpoolDamage,
	}
}

// failure maps a delivery error to a reason.
func failure(err error) string {
	switch {
	case errors.Is(err, kgo.ErrMaxBuffered):
		return reasonBufferFull
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, context.DeadlineExceeded):
		return reasonTimeout
	case errors.Is(err, kerr.MessageTooLarge):
		return reasonTooLarge
	case errors.Is(err, kgo.ErrAborting), errors.Is(err, kgo.ErrClientClosed):
		return reasonAborted
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return reasonAuth
	}
	return reasonOther
}

type metrics struct {
	accepted, published, stripped prometheus.Counter
	spooled, spills, bound        prometheus.Counter
	dropped                       *prometheus.CounterVec
	byReason                      map[string]prometheus.Counter
	inFlight, waiting, spilling   prometheus.GaugeFunc
}

func newMetrics(p *Publisher) metrics {
	m := metrics{
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_publish_accepted_envelopes_total",
			Help: "Envelopes offered for publishing or found in the spool at the start. Equals published + dropped + in flight.",
		}),
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_publish_published_envelopes_total", Help: "Envelopes acknowledged by all in-sync replicas.",
		}),
		stripped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_publish_stripped_bodies_total",
			Help: "Envelopes sent without their body: too large for the broker, or no room for it while brokers are away.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_publish_dropped_envelopes_total", Help: "Envelopes given up, by reason.",
		}, []string{"reason"}),
		inFlight: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "modeltrail_publish_in_flight_envelopes", Help: "Envelopes that wait for a broker, in memory and in the spool.",
		}, func() float64 { return float64(p.pending.Load()) }),
		waiting: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "modeltrail_publish_in_flight_bytes", Help: "Bytes of memory that waiting envelopes take.",
		}, func() float64 { return float64(p.held.Load()) }),
		spilling: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "modeltrail_publish_spilling", Help: "1 while envelopes of durability spill go through the spool.",
		}, func() float64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.spilling {
				return 1
			}
			return 0
		}),
		spooled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_publish_spooled_envelopes_total", Help: "Envelopes written to the spool.",
		}),
		spills: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_publish_spills_total", Help: "Times that spilling began because Kafka did not keep up.",
		}),
		bound: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_publish_spool_refusals_total", Help: "Times that the spool began to take no envelopes: at its bound, or the disk refused.",
		}),
		byReason: map[string]prometheus.Counter{},
	}
	for _, reason := range reasons() {
		m.byReason[reason] = m.dropped.WithLabelValues(reason)
	}
	return m
}

func (m metrics) drop(reason string) { m.byReason[reason].Inc() }

func (m metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{
		m.accepted, m.published, m.stripped, m.dropped, m.inFlight, m.waiting, m.spilling, m.spooled, m.spills, m.bound,
	} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register publish metrics: %w", err)
		}
	}
	return nil
}

// warner logs a loss at most once in ten seconds per reason.
type warner struct {
	log  zerolog.Logger
	mu   sync.Mutex
	last map[string]time.Time
}

func (w *warner) say(reason string, err error) {
	if w.due(reason) {
		w.log.Error().Str("reason", reason).Err(err).Msg("envelopes dropped")
	}
}

// retry tells that brokers refuse what is not given up.
func (w *warner) retry(err error) {
	if w.due("retry") {
		w.log.Warn().Str("reason", failure(err)).Err(err).Msg("envelopes not delivered; they are sent again")
	}
}

// reading tells that the spool cannot be read at present.
func (w *warner) reading(err error) {
	if w.due("reading") {
		w.log.Error().Err(err).Msg("spool cannot be read; it is tried again")
	}
}

func (w *warner) due(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.last[what]) < 10*time.Second {
		return false
	}
	if w.last == nil {
		w.last = map[string]time.Time{}
	}
	w.last[what] = now
	return true
}
