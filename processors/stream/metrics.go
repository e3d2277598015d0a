package stream

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one Runner. The balance consumed = delivered + abandoned + skipped + in flight always holds; what
// of the delivered records was stored and what rejected is counted by the batch.
type metrics struct {
	registerer     prometheus.Registerer
	consumed       *prometheus.CounterVec
	delivered      *prometheus.CounterVec
	abandoned      *prometheus.CounterVec
	skipped        *prometheus.CounterVec
	missing        *prometheus.CounterVec
	batches        *prometheus.CounterVec
	replans        *prometheus.CounterVec
	retries        *prometheus.CounterVec
	commitErrors   *prometheus.CounterVec
	fetchErrors    prometheus.Counter
	deliverSeconds *prometheus.HistogramVec
	gauges         *gauges
	all            []prometheus.Collector
}

func newMetrics(r *Runner, registerer prometheus.Registerer) (*metrics, error) {
	role := prometheus.Labels{"role": r.set.Name}
	m := &metrics{registerer: registerer}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "modeltrail_stream_" + name, Help: help, ConstLabels: role}, labels)
		m.all = append(m.all, c)
		return c
	}
	m.consumed = counter("consumed_records_total", "Records taken from Kafka.", "topic")
	m.delivered = counter("delivered_records_total", "Records of delivered and committed batches.", "topic")
	m.abandoned = counter("abandoned_records_total", "Records given up undelivered because their partition moved; the next owner reads them again.", "topic")
	m.skipped = counter("skipped_records_total", "Records read again below the committed offset.", "topic")
	m.missing = counter("missing_offsets_total", "Offsets between records that the broker did not return: compaction, control records, retention.", "topic")
	m.batches = counter("batches_total", "Batches delivered and committed.", "topic")
	m.replans = counter("replans_total", "Plans replaced by a smaller one because the sink refused rows.", "topic")
	m.retries = counter("retries_total", "Repeats of a step after an error.", "topic", "step")
	m.commitErrors = counter("commit_errors_total", "Refused commits by class.", "topic", "class")
	m.fetchErrors = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "modeltrail_stream_fetch_errors_total", Help: "Fetches that the broker refused.", ConstLabels: role,
	})
	m.deliverSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "modeltrail_stream_deliver_seconds", Help: "Time to make a batch durable, repeats included.",
		ConstLabels: role, Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 12),
	}, []string{"topic"})
	m.gauges = newGauges(r, role)
	m.all = append(m.all, m.fetchErrors, m.deliverSeconds, m.gauges)
	for i, c := range m.all {
		if err := registerer.Register(c); err != nil {
			for _, done := range m.all[:i] {
				registerer.Unregister(done)
			}
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) unregister() {
	for _, c := range m.all {
		m.registerer.Unregister(c)
	}
}

// gauges are computed when they are read, so that a partition which waits in a repeat still shows its age.
type gauges struct {
	r                           *Runner
	lag, age, inFlight, planAge *prometheus.Desc
}

func newGauges(r *Runner, role prometheus.Labels) *gauges {
	labels := []string{"topic", "partition"}
	return &gauges{
		r:        r,
		lag:      prometheus.NewDesc("modeltrail_stream_lag_records", "Records between the committed offset and the end of the partition.", labels, role),
		age:      prometheus.NewDesc("modeltrail_stream_oldest_age_seconds", "Age by broker time of the oldest record that is not delivered, in a batch, in memory or as far as is known in Kafka; 0 when there is none.", labels, role),
		inFlight: prometheus.NewDesc("modeltrail_stream_in_flight_bytes", "Bytes taken from Kafka and not delivered.", labels, role),
		planAge:  prometheus.NewDesc("modeltrail_stream_plan_age_seconds", "Time since the batch that is being delivered was planned, or its plan was found; 0 without one.", labels, role),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- g.lag
	ch <- g.age
	ch <- g.inFlight
	ch <- g.planAge
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	now := g.r.set.Now().UnixMilli()
	g.r.mu.Lock()
	defer g.r.mu.Unlock()
	for _, w := range g.r.workers {
		id := strconv.Itoa(int(w.partition))
		w.mu.Lock()
		inFlight := w.inFlight
		w.mu.Unlock()
		lag, age := 0.0, 0.0
		if next := w.next.Load(); next >= 0 {
			lag = float64(max(w.highWater.Load()-next, 0))
		}
		if oldest := w.waiting(); oldest > 0 {
			age = float64(max(now-oldest, 0)) / 1000
		}
		planAge := 0.0
		if at := w.plannedAt.Load(); at > 0 {
			planAge = float64(max(now-at, 0)) / 1000
		}
		for desc, value := range map[*prometheus.Desc]float64{g.lag: lag, g.age: age, g.inFlight: float64(inFlight), g.planAge: planAge} {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, w.topic, id)
		}
	}
}
