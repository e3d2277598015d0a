package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

func TestReplay_OnARealEngine(t *testing.T) {
	old := chunkLimit
	chunkLimit = Limit{Records: 40, Bytes: 1 << 20}
	t.Cleanup(func() { chunkLimit = old })
	s := newSuite(t)
	for name, test := range map[string]func(*testing.T, *rig){
		"another chain changes the rows and the sums":      testChange,
		"an interruption at any point is made good":        testInterruptions,
		"old tokens are not needed to resume":              testForgottenTokens,
		"dead letters become rows once, with all they had": testLetters,
		"what is not stored yet is left alone":             testClip,
		"a second replay waits for the first":              testOther,
		"rows that the server refuses stand alone":         testOffender,
		"a second delivery stays one":                      testSecondDelivery,
		"findings are replayed too":                        testFindings,
	} {
		t.Run(name, func(t *testing.T) { test(t, s.rig(t)) })
	}
}

const n = 240

func even(call string) bool { return strings.HasSuffix(call, "0") }

func testChange(t *testing.T, r *rig) {
	r.produce(0, n)
	r.store(chainOf(judge{team: "red", pico: 1_000_000}), n)
	r.consistent()
	if got := r.replay(chainOf(judge{team: "blue", pico: 3_000_001}), "first"); got.Records != n || got.Stored != n || got.Resumed {
		t.Errorf("%+v", got)
	}
	r.consistent()
	if got := r.ask("SELECT concat(any(team_id), ' ', toString(count()), ' ', toString(sum(toDecimal128(cost_usd, 12)))) FROM v_calls"); got != "blue 120 0.00036000012" {
		t.Errorf("calls are %s", got)
	}
	if got := r.ask("SELECT toString(count()) FROM calls"); got != "240" {
		t.Errorf("%s rows in all: the ones before must stay", got)
	}
	// The second one takes a third of the records away and the third one gives them back.
	got := r.replay(chainOf(judge{team: "strict", pico: 5, refuses: even}), "second")
	r.consistent()
	if got.Refused == 0 || r.ask("SELECT toString(count()) FROM v_dead_letters") != fmt.Sprint(got.Refused) {
		t.Errorf("%+v, %s open dead letters", got, r.ask("SELECT toString(count()) FROM v_dead_letters"))
	}
	r.replay(chainOf(judge{team: "blue", pico: 7}), "second")
	r.consistent()
	if got := r.ask("SELECT concat(toString(count()), ' ', (SELECT toString(count()) FROM v_dead_letters), ' ', (SELECT toString(max(refusals)) FROM (SELECT count() AS refusals FROM replays WHERE state = 'settled' GROUP BY version))) FROM v_calls"); got != "120 0 2" {
		t.Errorf("after all: %s", got)
	}
}

var errCrash = errors.New("crash")

// testInterruptions breaks off at each passing of each point in turn and lets a new engine go on.
func testInterruptions(t *testing.T, r *rig) {
	r.produce(0, n)
	r.store(chainOf(judge{team: "red", pico: 1, refuses: even}), n)
	for round, point := range []string{"started", "planned", "inserted", "written", "counted", "finished", "adjusted"} {
		crashes := 0
		chain := chainOf(judge{team: fmt.Sprint("team", round), pico: int64(10 + round), refuses: func(id string) bool { return round%2 == 1 && even(id) }})
		for attempt := 0; ; attempt++ {
			e, source := r.engine(chain), NewTopic(r.dial)
			passes := 0
			e.reach = func(at string) error {
				if at == point {
					if passes++; passes == 1+attempt%2 { // sometimes at once, sometimes a step later
						crashes++
						return errCrash
					}
				}
				return nil
			}
			if attempt == 3 {
				e.reach = func(string) error { return nil }
			}
			_, err := e.Run(t.Context(), r.everything(point), source)
			source.Close()
			if err == nil {
				break
			}
			if !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			if got := r.ask("SELECT toString(count() - uniqExact(call_id)) FROM v_calls"); got != "0" {
				t.Errorf("after a crash at %s %s calls stand twice", point, got)
			}
		}
		if crashes == 0 {
			t.Errorf("%s was never passed", point)
		}
		r.consistent()
		if got := r.ask("SELECT toString(any(team_id)) FROM v_calls"); got != fmt.Sprint("team", round) {
			t.Errorf("after %s the team is %s", point, got)
		}
		if got := r.ask("SELECT toString(count() - uniqExact(topic, partition, offset, row_version)) FROM envelopes"); got != "0" {
			t.Errorf("after %s %s rows stand twice", point, got)
		}
	}
}

// testForgottenTokens resumes with tokens that the server has not seen, as after a long pause.
func testForgottenTokens(t *testing.T, r *rig) {
	r.produce(0, n)
	r.store(chainOf(judge{team: "red", pico: 1, refuses: even}), n)
	for _, point := range []string{"inserted", "written", "adjusted"} {
		for attempt := range 4 {
			r.forget()
			e, source := r.engine(chainOf(judge{team: point, pico: 2})), NewTopic(r.dial)
			e.reach = func(at string) error {
				if at == point && attempt < 3 {
					return errCrash
				}
				return nil
			}
			_, err := e.Run(t.Context(), r.everything(point), source)
			source.Close()
			if attempt < 3 && !errors.Is(err, errCrash) || attempt == 3 && err != nil {
				t.Fatal(err)
			}
		}
		r.consistent()
		if got := r.ask("SELECT toString(count() - uniqExact(topic, partition, offset, row_version)) FROM envelopes"); got != "0" {
			t.Errorf("after %s %s rows stand twice", point, got)
		}
	}
}

// letters is a job over all open dead letters.
func (r *rig) letters() Job {
	return Job{Kind: KindLetters, Request: "letters", Spans: func(ctx context.Context) ([]Span, error) {
		rows, err := r.conn.Query(ctx, "SELECT topic, partition, arraySort(groupArray(offset)) FROM "+r.cfg.Database+".v_dead_letters GROUP BY topic, partition ORDER BY topic, partition")
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		var spans []Span
		for rows.Next() {
			var s Span
			if err := rows.Scan(&s.Topic, &s.Partition, &s.Offsets); err != nil {
				return nil, err
			}
			s.First, s.Last = s.Offsets[0], s.Offsets[len(s.Offsets)-1]
			spans = append(spans, s)
		}
		return spans, rows.Err()
	}}
}

func testLetters(t *testing.T, r *rig) {
	r.produce(0, n)
	r.store(chainOf(judge{team: "red", pico: 1, refuses: even}), n)
	r.send(&kgo.Record{Topic: event.TopicEnvelopes, Value: []byte("no envelope")})
	r.store(chainOf(judge{team: "red", pico: 1, refuses: even}), n+1)
	before := r.ask("SELECT toString(count()) FROM v_dead_letters")
	points := []string{"started", "planned", "inserted", "written", "counted", "finished", "adjusted"}
	for attempt := 0; ; attempt++ {
		e := r.engine(chainOf(judge{team: "red", pico: 1}))
		if attempt < len(points) {
			e.reach = func(at string) error {
				if at == points[attempt] {
					return errCrash
				}
				return nil
			}
		}
		result, err := e.Run(t.Context(), r.letters(), NewLetters(r.conn, r.cfg.Database))
		if err == nil || errors.Is(err, ErrNothing) {
			if attempt < len(points)-1 {
				t.Fatalf("attempt %d ended: %+v %v", attempt, result, err)
			}
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
	}
	r.consistent()
	if got := r.ask("SELECT concat(toString(count()), ' ', any(reason), ' ', toString(any(attempts))) FROM v_dead_letters"); !strings.HasPrefix(got, "1 not_protobuf ") || before == "1" {
		t.Errorf("of %s dead letters are left: %s", before, got)
	}
	if got := r.ask("SELECT toString(count()) FROM v_calls"); got != "120" {
		t.Errorf("%s calls", got)
	}
	rows := "SELECT concat(toString(count()), ' ', (SELECT toString(count()) FROM calls), ' ', (SELECT toString(count()) FROM dead_letters)) FROM envelopes"
	counted := r.ask(rows)
	if _, err := r.engine(chainOf(judge{team: "red", pico: 1})).Run(t.Context(), r.letters(), NewLetters(r.conn, r.cfg.Database)); err != nil {
		t.Fatal(err)
	}
	if got := r.ask(rows); got != counted {
		t.Errorf("running again added rows: %s, before %s", got, counted)
	}
	r.consistent()
	r.replay(chainOf(judge{team: "blue", pico: 2, refuses: even}), "span over what was resolved")
	r.consistent()
	if got := r.ask("SELECT toString(count()) FROM v_dead_letters"); got != before {
		t.Errorf("%s dead letters are open, want %s again", got, before)
	}
}

func testClip(t *testing.T, r *rig) {
	r.produce(0, 200)
	r.store(chainOf(judge{team: "red", pico: 1}), 200)
	r.produce(200, 260)
	_, notes, err := Choice{Topic: event.TopicEnvelopes, Group: group, Partition: -1, FromOffset: -1, ToOffset: -1}.Spans(t.Context(), r.client)
	if err != nil || len(notes) == 0 || !strings.Contains(notes[0], "not stored yet") {
		t.Errorf("notes %q, %v", notes, err)
	}
	if got := r.replay(chainOf(judge{team: "blue", pico: 1}), "all"); got.Records != 200 {
		t.Errorf("%+v", got)
	}
	r.store(chainOf(judge{team: "green", pico: 1}), 460)
	r.consistent()
	if got := r.ask("SELECT arrayStringConcat(arraySort(groupUniqArray(toString(team_id))), ' ') FROM v_calls"); got != "blue green" {
		t.Errorf("teams are %s", got)
	}
}

func testOther(t *testing.T, r *rig) {
	r.produce(0, 200)
	r.store(chainOf(judge{team: "red", pico: 1}), 200)
	e, source := r.engine(chainOf(judge{team: "blue", pico: 1})), NewTopic(r.dial)
	defer source.Close()
	e.reach = func(at string) error {
		if at == "written" {
			return errCrash
		}
		return nil
	}
	result, err := e.Run(t.Context(), r.everything("one"), source)
	if !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	e.reach = func(string) error { return nil }
	if _, err := e.Run(t.Context(), r.everything("two"), source); !errors.Is(err, ErrOther) || !strings.Contains(err.Error(), "one") {
		t.Errorf("another job: %v", err)
	}
	if err := e.Abandon(t.Context(), result.Version+1); err == nil {
		t.Error("a replay that is not open was given up")
	}
	if err := e.Abandon(t.Context(), result.Version); err != nil {
		t.Error(err)
	}
	r.consistent()
	if _, err := e.Run(t.Context(), r.everything("two"), source); err != nil {
		t.Error(err)
	}
	r.consistent()
}

// testOffender lets the server refuse the rows of two calls.
func testOffender(t *testing.T, r *rig) {
	r.produce(0, 200)
	r.store(chainOf(judge{team: "red", pico: 1}), 200)
	if err := r.conn.Exec(t.Context(), "ALTER TABLE "+r.cfg.Database+".calls ADD CONSTRAINT no CHECK call_id NOT IN ('call-7', 'call-66')"); err != nil {
		t.Fatal(err)
	}
	got := r.replay(chainOf(judge{team: "blue", pico: 2}), "with offenders")
	if got.Refused != 2 || got.Stored != 198 {
		t.Errorf("%+v", got)
	}
	r.consistent()
	if got := r.ask("SELECT concat(arrayStringConcat(arraySort(groupArray(concat(stage, '/', reason))), ' '), ' ', toString(count())) FROM v_dead_letters"); got != "sink/refused_by_server sink/refused_by_server 2" {
		t.Errorf("dead letters: %s", got)
	}
	if _, err := r.engine(chainOf(judge{team: "blue", pico: 2})).Run(t.Context(), r.letters(), NewLetters(r.conn, r.cfg.Database)); err != nil {
		t.Fatal(err)
	}
	r.consistent()
	if got := r.ask("SELECT toString(max(attempts)) FROM v_dead_letters"); got != "2" {
		t.Errorf("%s attempts", got)
	}
	if err := r.conn.Exec(t.Context(), "ALTER TABLE "+r.cfg.Database+".calls DROP CONSTRAINT no"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.engine(chainOf(judge{team: "blue", pico: 2})).Run(t.Context(), r.letters(), NewLetters(r.conn, r.cfg.Database)); err != nil {
		t.Fatal(err)
	}
	r.consistent()
	if got := r.ask("SELECT concat(toString(count()), ' ', (SELECT toString(count()) FROM v_dead_letters)) FROM v_calls"); got != "100 0" {
		t.Errorf("calls and dead letters: %s", got)
	}
}

// testSecondDelivery has both deliveries of an envelope refused, and one whose twin is stored.
func testSecondDelivery(t *testing.T, r *rig) {
	r.produce(0, 40)
	r.store(chainOf(judge{team: "red", pico: 1, refuses: even}), 40)
	for _, i := range []int{1, 21} { // calls 0 and 10 are refused
		e := envelope(i)
		r.send(&kgo.Record{Topic: event.TopicEnvelopes, Key: []byte(e.CallId), Value: wire.MarshalEnvelope(nil, e)})
	}
	r.store(chainOf(judge{team: "red", pico: 1, refuses: even}), 42)
	if _, err := r.engine(chainOf(judge{team: "red", pico: 1})).Run(t.Context(), r.letters(), NewLetters(r.conn, r.cfg.Database)); err != nil {
		t.Fatal(err)
	}
	r.consistent()
	if got := r.ask("SELECT concat(toString(count()), ' ', (SELECT toString(countIf(status = 'repeated')) FROM v_envelopes)) FROM v_calls"); got != "20 2" {
		t.Errorf("calls and repeats: %s", got)
	}
	r.replay(chainOf(judge{team: "blue", pico: 1}), "again")
	r.consistent()
	if got := r.ask("SELECT concat(toString(count()), ' ', (SELECT toString(countIf(status = 'repeated')) FROM v_envelopes)) FROM v_calls"); got != "20 2" {
		t.Errorf("calls and repeats after a span: %s", got)
	}
}

func testFindings(t *testing.T, r *rig) {
	finding, err := (&event.Finding{SchemaVersion: 1, Key: "k", Detector: "cost_spike"}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	for offset, value := range []string{string(finding), "no finding"} {
		if err := r.conn.Exec(t.Context(), "INSERT INTO "+r.cfg.Database+".dead_letters (topic, partition, offset, ingested_at, stage, reason, record_value) SETTINGS async_insert = 0 VALUES (?, 0, ?, now64(3), 'wire', 'not_protobuf', ?)",
			event.TopicFindings, offset, value); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := r.engine(chainOf(judge{})).Run(t.Context(), r.letters(), NewLetters(r.conn, r.cfg.Database)); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.ask("SELECT concat(toString(count()), ' ', (SELECT concat(toString(count()), ' ', toString(any(attempts))) FROM v_dead_letters)) FROM findings"); got != "1 1 3" {
		t.Errorf("findings, open dead letters, attempts: %s", got)
	}
}
