package history

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/pricing"
)

const topic = event.TopicDirectory

// rig is a broker with the product's topics.
type rig struct {
	t   *testing.T
	cfg kafka.Config
}

func newRig(t *testing.T) rig {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := rig{t, kafka.DefaultConfig()}
	r.cfg.Brokers = cluster.ListenAddrs()
	if err := r.cfg.EnsureTopics(r.ctx(), r.client()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	r.t.Cleanup(cancel)
	return ctx
}

func (r rig) client(opts ...kgo.Opt) *kgo.Client {
	r.t.Helper()
	client, err := kafka.NewClient(r.cfg, zerolog.Nop(), append(opts, kgo.ProducerBatchMaxBytes(32<<20))...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(client.Close)
	return client
}

func (r rig) follow() *Follower {
	r.t.Helper()
	f, err := Follow(r.ctx(), r.client(), topic, zerolog.Nop())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(f.Close)
	return f
}

func (r rig) publisher(delay time.Duration) (*Publisher, *Follower) {
	f := r.follow()
	return NewPublisher(r.client(), topic, delay, f), f
}

func (r rig) publish(p *Publisher, v Version) bool {
	r.t.Helper()
	published, err := p.Publish(r.ctx(), v)
	if err != nil {
		r.t.Fatal(err)
	}
	return published
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func directoryText(team string) string {
	return "teams: [{id: " + team + ", owner: anna@example.com}]\n"
}

func teams(team string) Version {
	return Version{KindDirectory, FormatModelTrail, []byte(directoryText(team))}
}

// teamAt is the team that the directory in force at a time has.
func teamAt(f *Follower, at time.Time) string {
	d, ok := f.Directory.At(at)
	if !ok {
		return "no directory"
	}
	return d.Teams()[0].ID
}

func TestFirstVersion_CoversEarlierCalls(t *testing.T) {
	r := newRig(t)
	p, f := r.publisher(time.Second)
	if got := teamAt(f, time.Now()); got != "no directory" {
		t.Fatalf("before the first version: %s", got)
	}
	r.publish(p, teams("first"))
	until(t, "the version is loaded", func() bool { return f.Directory.Len() == 1 })
	if got := teamAt(f, time.Now().Add(-24*time.Hour)); got != "first" {
		t.Errorf("a call of yesterday is judged by %s", got)
	}
}

func TestLaterVersion_TakesEffectAfterItsDelay_ByTheBrokersClock(t *testing.T) {
	r := newRig(t)
	const delay = 3 * time.Second
	p, f := r.publisher(delay)
	r.publish(p, teams("first"))
	before := time.Now()
	r.publish(p, teams("second"))
	until(t, "both versions are loaded", func() bool { return f.Directory.Len() == 2 })
	_, _, effective, _ := f.Directory.Latest()
	if effective.Before(before.Add(delay-50*time.Millisecond)) || effective.After(time.Now().Add(delay)) {
		t.Errorf("effective at %s; published at %s with a delay of %s", effective, before, delay)
	}
	if got := teamAt(f, effective.Add(-time.Millisecond)); got != "first" {
		t.Errorf("within the delay %s is in force", got)
	}
	if got := teamAt(f, effective); got != "second" {
		t.Errorf("after the delay %s is in force", got)
	}
}

func TestFollowers_AlsoLateOnes_AgreeOnEveryMoment(t *testing.T) {
	r := newRig(t)
	p, early := r.publisher(20 * time.Millisecond)
	for i := range 5 {
		r.publish(p, teams(fmt.Sprintf("team%d", i)))
		time.Sleep(10 * time.Millisecond)
	}
	r.publish(p, Version{KindPrices, FormatModelTrail, pricing.BuiltinSource()})
	late := r.follow() // it knows everything when Follow returns
	if err := late.Await(r.ctx(), KindPrices); err != nil {
		t.Fatal(err)
	}
	until(t, "the early one has all", func() bool { return early.Prices.Len() == 1 && early.Directory.Len() == 5 })
	_, _, last, _ := early.Directory.Latest()
	for at := last.Add(-200 * time.Millisecond); at.Before(last.Add(50 * time.Millisecond)); at = at.Add(time.Millisecond) {
		if a, b := teamAt(early, at), teamAt(late, at); a != b {
			t.Fatalf("at %s one says %s, the other %s", at, a, b)
		}
	}
	a, _ := early.Prices.At(last)
	b, _ := late.Prices.At(last)
	if a.Version() != b.Version() || a.Len() == 0 {
		t.Errorf("price versions %s and %s", a.Version(), b.Version())
	}
}

func TestEqualContent_IsNoNewVersion(t *testing.T) {
	r := newRig(t)
	p, f := r.publisher(0)
	if !r.publish(p, teams("a")) {
		t.Error("the first version was not published")
	}
	until(t, "it is loaded", func() bool { return f.latest(KindDirectory) != "" })
	if r.publish(p, teams("a")) {
		t.Error("the same content was published again")
	}
	other, _ := r.publisher(0) // another process
	if r.publish(other, teams("a")) {
		t.Error("another process published the same content again")
	}
	if f.Directory.Len() != 1 {
		t.Errorf("%d versions", f.Directory.Len())
	}
}

func TestBadVersion_IsRefusedBeforeItIsPublished(t *testing.T) {
	r := newRig(t)
	p, f := r.publisher(0)
	r.publish(p, teams("good"))
	until(t, "the good one is loaded", func() bool { return f.Directory.Len() == 1 })
	for name, v := range map[string]Version{
		"malformed directory": {KindDirectory, FormatModelTrail, []byte("teams: [")},
		"dangling reference":  {KindDirectory, FormatModelTrail, []byte("apps: [{id: a, team: nobody}]")},
		"malformed prices":    {KindPrices, FormatModelTrail, []byte("nonsense")},
		"malformed price map": {KindPrices, FormatLiteLLM, []byte("{")},
		"unknown format":      {KindPrices, "csv", []byte("a,b")},
		"unknown kind":        {"users", FormatModelTrail, []byte("{}")},
	} {
		if _, err := p.Publish(r.ctx(), v); err == nil {
			t.Errorf("%s was published", name)
		}
	}
	if got := teamAt(f, time.Now()); got != "good" {
		t.Errorf("%s is in force", got)
	}
}

// TestUnreadableRecord_IsSkipped is what a process meets that is older than the one that published.
func TestUnreadableRecord_IsSkipped(t *testing.T) {
	r := newRig(t)
	p, f := r.publisher(0)
	for _, record := range []*kgo.Record{
		{Topic: topic, Key: []byte("directory"), Value: []byte("from: the future"), Headers: []kgo.RecordHeader{{Key: headerFormat, Value: []byte("modeltrail")}}},
		{Topic: topic, Key: []byte("something"), Value: []byte("else")},
		{Topic: topic, Value: nil},
		{Topic: topic, Key: []byte("directory"), Value: []byte("teams: [{id: a, owner: b}]"), Headers: []kgo.RecordHeader{
			{Key: headerFormat, Value: []byte("modeltrail")}, {Key: headerDelay, Value: []byte("soon")},
		}},
	} {
		if err := r.client().ProduceSync(r.ctx(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	r.publish(p, teams("good"))
	until(t, "the good one is loaded", func() bool { return f.Directory.Len() == 1 })
	if late := r.follow(); teamAt(late, time.Now()) != "good" {
		t.Error("a late follower does not get past the unreadable records")
	}
}

func TestLiteLLMPriceMap_IsAVersion_ThatHoldsFromTheBeginning(t *testing.T) {
	r := newRig(t)
	p, f := r.publisher(0)
	content := `{"gpt-x": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}}`
	r.publish(p, Version{KindPrices, FormatLiteLLM, []byte(content)})
	if err := f.Await(r.ctx(), KindPrices); err != nil {
		t.Fatal(err)
	}
	table, _ := f.Prices.At(time.Now())
	if price, known := table.Find("openai", "gpt-x", time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)); price == nil || !known {
		t.Error("no price for a call before the map was published")
	}
	same, err := Version{KindPrices, FormatLiteLLM, []byte(content)}.parse()
	if err != nil {
		t.Fatal(err)
	}
	if table.Version() != same.version {
		t.Errorf("version %s here and %s there", table.Version(), same.version)
	}
}

func TestAwait_WithoutAVersion_SaysWhatItWaitedFor(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := r.follow().Await(ctx, KindPrices); err == nil || !strings.Contains(err.Error(), "prices") || !strings.Contains(err.Error(), topic) {
		t.Errorf("error is %v", err)
	}
}

func TestObserve_TellsVersionsOfBeforeAndAfter_InOrder(t *testing.T) {
	r := newRig(t)
	p, f := r.publisher(0)
	r.publish(p, teams("a"))
	until(t, "the first is loaded", func() bool { return f.Directory.Len() == 1 })
	var mu sync.Mutex
	var seen []string
	f.Observe(func(l Loaded) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, l.Directory.Teams()[0].ID)
	})
	r.publish(p, teams("b"))
	r.publish(p, teams("c"))
	until(t, "three are observed", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == 3
	})
	if diff := cmp.Diff([]string{"a", "b", "c"}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// watched runs Watch on a file and collects its reports.
type watched struct {
	mu        sync.Mutex
	published int
	errs      []string
}

func watch(t *testing.T, p *Publisher, path string) *watched {
	w := &watched{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Watch(ctx, KindDirectory, FormatModelTrail, path, 10*time.Millisecond, func(published bool, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if published {
				w.published++
			}
			if err != nil {
				w.errs = append(w.errs, err.Error())
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watched) counts() (published, errs int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.published, len(w.errs)
}

func TestWatch_PublishesChanges_AndReportsAFaultOnce(t *testing.T) {
	r := newRig(t)
	p, f := r.publisher(0)
	path := filepath.Join(t.TempDir(), "directory.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(directoryText("a"))
	w := watch(t, p, path)
	until(t, "the first version", func() bool { return f.Directory.Len() == 1 })
	write("teams: [\n")
	until(t, "the fault is reported", func() bool { _, errs := w.counts(); return errs == 1 })
	time.Sleep(100 * time.Millisecond)
	if published, errs := w.counts(); published != 1 || errs != 1 || teamAt(f, time.Now()) != "a" {
		t.Errorf("%d versions, %d reports of one fault, %s in force", published, errs, teamAt(f, time.Now()))
	}
	write(directoryText("b"))
	until(t, "the mended version", func() bool { return teamAt(f, time.Now()) == "b" })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	until(t, "the missing file is reported", func() bool { _, errs := w.counts(); return errs == 2 })
	write(directoryText("b"))
	time.Sleep(100 * time.Millisecond)
	if published, _ := w.counts(); published != 2 {
		t.Errorf("%d versions; an unchanged file is no third", published)
	}
}

// TestWatch_OfAnUnchangedFile_DoesNotUndoWhatAnotherProcessPublished is a rolling change of the file on two hosts.
func TestWatch_OfAnUnchangedFile_DoesNotUndoWhatAnotherProcessPublished(t *testing.T) {
	r := newRig(t)
	p, f := r.publisher(0)
	path := filepath.Join(t.TempDir(), "directory.yaml")
	if err := os.WriteFile(path, []byte(directoryText("old")), 0o600); err != nil {
		t.Fatal(err)
	}
	r.publish(p, teams("old"))
	until(t, "the old version", func() bool { return f.Directory.Len() == 1 })
	other, _ := r.publisher(0)
	r.publish(other, teams("new"))
	until(t, "the new version", func() bool { return f.Directory.Len() == 2 })
	w := watch(t, p, path)
	time.Sleep(150 * time.Millisecond)
	if published, errs := w.counts(); published != 0 || errs != 0 || teamAt(f, time.Now()) != "new" {
		t.Errorf("%d published, %d errors, %s in force", published, errs, teamAt(f, time.Now()))
	}
}

func TestReadFile_NamesTheFaultyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory.yaml")
	if _, err := ReadFile(KindDirectory, FormatModelTrail, path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v", err)
	}
	if err := os.WriteFile(path, []byte("teams: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(KindDirectory, FormatModelTrail, path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v", err)
	}
}
