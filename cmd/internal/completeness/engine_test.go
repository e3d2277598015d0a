package completeness_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/completeness"
	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
	"github.com/modeltrail/modeltrail/ingest/ledger"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// TestCompleteness_OnARealEngine starts one real ClickHouse for all tests below; each has a broker and a database.
func TestCompleteness_OnARealEngine(t *testing.T) {
	e := enginetest.Start(t)
	cfg := clickhouse.DefaultConfig()
	cfg.Addr, cfg.Protocol = []string{e.HTTPAddr()}, clickhouse.ProtocolHTTP
	admin, _ := e.Users()
	cfg.User, cfg.Password = admin.Name, admin.Password
	conn, err := clickhouse.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	n := atomic.Int32{}
	for name, test := range map[string]func(*testing.T, *rig){
		"all there":                          testAllThere,
		"a hole is found with its range":     testHole,
		"drops are told with their reason":   testDrops,
		"a backlog is no loss":               testBacklog,
		"silence and speech":                 testSilence,
		"an altered statement":               testAltered,
		"another key":                        testOtherKey,
		"several epochs and a killed one":    testEpochs,
		"hours and late envelopes":           testHours,
		"repeats, dead letters and surplus":  testRepeats,
		"the command, its formats and codes": testCommand,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newRig(t, conn, cfg, fmt.Sprintf("proof_%d", n.Add(1))))
		})
	}
}

func testAllThere(t *testing.T, r *rig) {
	s := r.newSource("edge-1", t.TempDir(), keyFile(t))
	s.send(300, time.Now(), nil)
	s.close()
	r.check()
	got := r.report()
	if faults := got.Faults(true); len(faults) > 0 || got.Totals.Sent != 300 || got.Totals.Stored != 300 || !got.Totals.Verified {
		t.Errorf("%v, %+v", faults, got.Totals)
	}
	if found := r.findings(); len(found) > 0 {
		t.Errorf("findings of a complete record: %v", found)
	}
	var sent, missing uint64
	if err := r.conn.QueryRow(t.Context(), "SELECT sum(sent), sum(missing) FROM "+r.cfg.Database+".v_source_completeness").Scan(&sent, &missing); err != nil || sent != 300 || missing != 0 {
		t.Errorf("the view tells %d sent, %d missing, %v", sent, missing, err)
	}
}

func testHole(t *testing.T, r *rig) {
	s := r.newSource("edge-1", t.TempDir(), keyFile(t))
	s.send(500, time.Now(), func(n uint64) bool { return n >= 101 && n <= 117 || n == 400 })
	s.settled()
	began := time.Now()
	r.check()
	found := r.findings()[completeness.FindingMissing]
	if len(found) != 1 || evidence(found[0], "ranges") != "101-117, 400" || evidence(found[0], "missing") != "18" ||
		evidence(found[0], "first_missing") != "101" || evidence(found[0], "last_missing") != "400" {
		t.Fatalf("findings are %v", found)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %s", took)
	}
	r.check()
	r.newChecker() // as after a restart
	r.check()
	again := r.findings()[completeness.FindingMissing]
	for _, f := range again {
		if f.Key != found[0].Key {
			t.Errorf("the same hole has the keys %s and %s", f.Key, found[0].Key)
		}
	}
	if len(again) != 2 {
		t.Errorf("%d reports; want one of each checker", len(again))
	}
	got := r.report()
	if got.Totals.Missing != 18 || got.Totals.Pending != 0 || len(got.Faults(false)) == 0 {
		t.Errorf("%+v", got.Totals)
	}
}

func testDrops(t *testing.T, r *rig) {
	s := r.newSource("edge-1", t.TempDir(), keyFile(t))
	now := time.Now()
	s.send(50, now, nil)
	s.ledger.Dropped(uint64(now.UnixNano()), ledger.ReasonMemory, 7)
	s.sequence++ // one that the publisher took and gave up
	s.ledger.Numbered(uint64(now.UnixNano()), s.sequence)
	s.deliveries.GivenUp(s.envelope(s.sequence, now), ledger.ReasonTooLarge)
	s.settled()
	r.check()
	found := r.findings()
	if len(found) != 1 || len(found[completeness.FindingDropped]) != 1 || evidence(found[completeness.FindingDropped][0], "reasons") != "memory 7, too_large 1" {
		t.Fatalf("findings are %v", found)
	}
	s.ledger.Dropped(uint64(now.UnixNano()), ledger.ReasonMemory, 20)
	s.settled()
	r.check()
	all := r.findings()[completeness.FindingDropped]
	if len(all) != 2 || all[0].Key != all[1].Key || evidence(all[1], "dropped") != "28" {
		t.Errorf("findings after more drops are %v", all)
	}
	got := r.report()
	if len(got.Faults(false)) > 0 || len(got.Faults(true)) != 1 || got.Totals.Dropped[ledger.ReasonTooLarge] != 1 || got.Totals.Sent != 51 {
		t.Errorf("%v, %+v", got.Faults(true), got.Totals)
	}
}

func testBacklog(t *testing.T, r *rig) {
	r.stopStore() // nothing is stored for a while
	s := r.newSource("edge-1", t.TempDir(), keyFile(t))
	s.send(2000, time.Now(), nil)
	s.settled()
	if err := r.checker.Check(t.Context()); !errors.Is(err, completeness.ErrBehind) {
		t.Errorf("with a backlog: %v", err)
	}
	r.startStore()
	sent := make(chan error, 1)
	go func() { sent <- s.produce(s.make(3000, time.Now(), nil)) }()
	r.check()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	s.settled()
	r.check()
	if found := r.findings(); len(found) > 0 {
		t.Errorf("a backlog gives %v", found)
	}
}

func testSilence(t *testing.T, r *rig) {
	dir := t.TempDir()
	key := keyFile(t)
	s := r.newSource("edge-1", dir, key)
	s.send(5, time.Now(), nil)
	s.settled()
	r.check()
	r.clock.ahead.Store(int64(4 * time.Second)) // not yet
	r.check()
	s.silence(t)
	if found := r.findings(); len(found) > 0 {
		t.Fatalf("too early: %v", found)
	}
	r.clock.ahead.Store(int64(time.Minute))
	r.check()
	r.check()
	found := r.findings()[completeness.FindingSilent]
	if len(found) != 1 || evidence(found[0], "state") != "silent" {
		t.Fatalf("findings are %v", found)
	}
	r.clock.ahead.Store(int64(time.Minute + time.Second))
	next := r.newSource("edge-1", t.TempDir(), key)
	next.settled()
	r.check()
	found = r.findings()[completeness.FindingSilent]
	if len(found) != 2 || evidence(found[1], "state") != "resolved" || found[0].Key != found[1].Key {
		t.Errorf("after it spoke: %v", found)
	}
	next.close() // in order: silence is right then
	r.clock.ahead.Store(int64(5 * time.Minute))
	r.check()
	if again := r.findings()[completeness.FindingSilent]; len(again) != 2 {
		t.Errorf("a source that stopped in order is silent: %v", again)
	}
}

// silence cuts the source off from Kafka for good.
func (s *source) silence(t *testing.T) {
	t.Helper()
	s.ledger.Cut()
}

func testAltered(t *testing.T, r *rig) {
	s := r.newSource("edge-1", t.TempDir(), keyFile(t))
	s.send(10, time.Now(), nil)
	s.close()
	r.check()
	statements := r.records(event.TopicSources)
	forged := bytes.Clone(statements[len(statements)-1].Value)
	m, err := wire.UnmarshalStatement(forged)
	if err != nil {
		t.Fatal(err)
	}
	m.LastSequence, m.Number, m.Hours[0].Numbered = 4, 99, 4 // to hide that six are missing
	forged, err = m.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	r.produce(&kgo.Record{Topic: event.TopicSources, Value: forged}, &kgo.Record{Topic: event.TopicSources, Value: []byte("no statement")})
	r.check()
	found := r.findings()
	if len(found) != 1 || len(found[completeness.FindingInvalid]) != 1 || evidence(found[completeness.FindingInvalid][0], "statements") != "1" {
		t.Errorf("findings are %v", found)
	}
	got := r.report()
	if got.Totals.Sent != 10 || len(got.Faults(false)) > 0 || len(got.Faults(true)) != 1 {
		t.Errorf("%+v, %v", got.Totals, got.Faults(true))
	}
	var letters uint64
	if err := r.conn.QueryRow(t.Context(), "SELECT count() FROM "+r.cfg.Database+".dead_letters WHERE topic = ?", event.TopicSources).Scan(&letters); err != nil || letters != 1 {
		t.Errorf("%d dead letters, %v", letters, err)
	}
}

func (r *rig) produce(records ...*kgo.Record) {
	r.t.Helper()
	if err := r.client.ProduceSync(r.t.Context(), records...).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) records(topic string) []*kgo.Record {
	r.t.Helper()
	client := r.dial(kgo.ConsumeTopics(topic), kgo.FetchMaxWait(100*time.Millisecond))
	defer client.Close()
	var out []*kgo.Record
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
	defer cancel()
	for ctx.Err() == nil {
		out = append(out, client.PollFetches(ctx).Records()...)
	}
	return out
}

func testOtherKey(t *testing.T, r *rig) {
	s := r.newSource("edge-1", t.TempDir(), keyFile(t))
	s.send(10, time.Now(), nil)
	s.close()
	r.check()
	impostor := r.newSource("edge-1", t.TempDir(), keyFile(t))
	impostor.send(10, time.Now(), nil)
	impostor.close()
	r.check()
	r.check()
	found := r.findings()
	if len(found) != 1 || len(found[completeness.FindingKeyChanged]) != 1 {
		t.Fatalf("findings are %v", found)
	}
	got := r.report()
	if got.Totals.Verified || len(got.Untrusted) != 1 || !slices.Contains(got.Faults(false), "some figures are not verified") {
		t.Errorf("%+v, %v", got.Totals, got.Faults(false))
	}
	r.record.Trusted = []string{got.Untrusted[0].ID, got.Untrusted[0].Since}
	if got = r.report(); !got.Totals.Verified || len(got.Faults(true)) > 0 {
		t.Errorf("with both keys trusted: %+v, %v", got.Totals, got.Faults(true))
	}
}

func testEpochs(t *testing.T, r *rig) {
	dir, key := t.TempDir(), keyFile(t)
	first := r.newSource("edge-1", dir, key)
	first.send(20, time.Now(), nil)
	first.close()
	killed := r.newSource("edge-1", dir, key)
	killed.send(30, time.Now(), nil)
	killed.ledger.Expect(4) // owed when the kill comes
	killed.sequence += 3    // and three in memory, numbered
	for i := range uint64(3) {
		killed.ledger.Expect(1)
		killed.ledger.Numbered(uint64(time.Now().UnixNano()), 31+i)
	}
	killed.silence(t)
	next := r.newSource("edge-1", dir, key)
	next.send(40, time.Now(), nil)
	next.close()
	r.check()
	got := r.report()
	if len(got.Faults(false)) > 0 || got.Totals.Sent != 93 || got.Totals.Stored != 90 || got.Totals.Dropped[ledger.ReasonCrash] != 7 {
		t.Errorf("%v, %+v", got.Faults(false), got.Totals)
	}
	found := r.findings()
	if slices.Sorted(maps.Keys(found))[0] != completeness.FindingDropped || len(found) != 1 || !strings.Contains(found[completeness.FindingDropped][0].Title, "crash 7") {
		t.Errorf("findings are %v", found)
	}
}

func testHours(t *testing.T, r *rig) {
	s := r.newSource("edge-1", t.TempDir(), keyFile(t))
	hour := time.Now().UTC().Truncate(time.Hour)
	s.send(10, hour.Add(-time.Millisecond), nil)
	s.send(20, hour, nil)
	s.send(5, hour.Add(-time.Millisecond), nil) // numbered late
	s.send(7, hour.Add(-30*time.Hour), nil)     // under no hour of its own
	s.send(3, hour, func(n uint64) bool { return n == 44 })
	s.settled()
	r.check()
	got := map[string]completeness.Hour{}
	report := r.report()
	for _, h := range report.Hours {
		got[h.Hour.Format(time.RFC3339)] = h
	}
	for at, want := range map[time.Time][3]uint64{hour.Add(-time.Hour): {15, 15, 0}, hour: {23, 22, 1}, {}: {7, 7, 0}} {
		h := got[at.Format(time.RFC3339)]
		if h.Sent != want[0] || h.Stored != want[1] || h.Missing != want[2] || h.Surplus != 0 {
			t.Errorf("%s: %+v; want sent, stored, missing %v", at, h, want)
		}
	}
	found := r.findings()[completeness.FindingMissing]
	if len(found) != 1 || evidence(found[0], "ranges") != "44" {
		t.Errorf("findings are %v", found)
	}
}

func testRepeats(t *testing.T, r *rig) {
	s := r.newSource("edge-1", t.TempDir(), keyFile(t))
	now := time.Now()
	s.send(20, now, nil)
	r.produce(&kgo.Record{Topic: event.TopicEnvelopes, Value: s.envelope(5, now)}, &kgo.Record{Topic: event.TopicEnvelopes, Value: []byte{0xff}})
	s.settled()
	r.check()
	got := r.report()
	if got.Totals.Stored != 20 || got.Totals.Repeated != 1 || len(got.Faults(true)) > 0 || got.Partitions[0].Anonymous+got.Partitions[1].Anonymous != 1 {
		t.Errorf("%+v %v %+v", got.Totals, got.Faults(true), got.Partitions)
	}
	mute := &event.Envelope{}
	if err := mute.UnmarshalVT(s.envelope(1, now)); err != nil {
		t.Fatal(err)
	}
	mute.Source.Instance, mute.Source.BootEpoch = "edge-2", 77
	r.produce(&kgo.Record{Topic: event.TopicEnvelopes, Value: wire.MarshalEnvelope(nil, mute)})
	if got = r.report(); len(got.Unstated) != 1 || len(got.Faults(true)) != 1 || len(got.Faults(false)) > 0 {
		t.Errorf("an envelope of a source without statements: %+v", got.Unstated)
	}
}

func testCommand(t *testing.T, r *rig) {
	run := func(args ...string) (string, error) {
		cmd := completeness.NewCommand(func(context.Context, bool) (completeness.Record, *completeness.Lag, time.Duration, func(), error) {
			return r.record, &r.lag, time.Minute, func() {}, nil
		})
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	if out, err := run(); !errors.Is(err, completeness.ErrIncomplete) || !strings.Contains(err.Error(), "no source made a statement") {
		t.Errorf("without any source: %v\n%s", err, out)
	}
	s := r.newSource("edge-1", t.TempDir(), keyFile(t))
	s.send(30, time.Now(), nil)
	s.settled()
	for format, want := range map[string]string{"table": "complete: 30 sent, 30 stored", "json": `"type":"summary","sent":30`, "csv": "tap,edge-1,"} {
		if out, err := run("--format", format); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s", format, err, out)
		}
	}
	if out, err := run("--until", "now+1h", "--source", "edge-1"); err != nil || !strings.Contains(out, "tap/edge-1") {
		t.Errorf("one source: %v\n%s", err, out)
	}
	s.ledger.Dropped(uint64(time.Now().UnixNano()), ledger.ReasonMemory, 2)
	s.settled()
	if out, err := run(); err != nil || !strings.Contains(out, "memory 2") {
		t.Errorf("with drops: %v\n%s", err, out)
	}
	if _, err := run("--strict"); !errors.Is(err, completeness.ErrIncomplete) {
		t.Errorf("strict: %v", err)
	}
	s.send(5, time.Now(), func(n uint64) bool { return n == 33 })
	s.settled()
	if out, err := run(); !errors.Is(err, completeness.ErrIncomplete) || !strings.Contains(out, "NOT COMPLETE") {
		t.Errorf("with a hole: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"--since", "yesterday"}, {"--since", "now"}, {"--format", "xml"}} {
		if _, err := run(args...); !errors.Is(err, completeness.ErrUsage) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
