package role_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// withStatus are the offsets whose envelopes row has a status.
func (sc *scene) withStatus(status string) (out []int64) {
	sc.t.Helper()
	query := "SELECT groupArray(offset) FROM (SELECT offset FROM " + sc.cfg.Database + ".envelopes WHERE status = '" + status + "' ORDER BY offset)"
	if err := sc.s.conn.QueryRow(sc.t.Context(), query).Scan(&out); err != nil {
		sc.t.Fatal(err)
	}
	return out
}

// checkRepeats wants these offsets to be repeats, the others to be what the control holds, and nothing twice.
func (sc *scene) checkRepeats(repeated []int64) {
	sc.t.Helper()
	if got := sc.withStatus("repeated"); !slices.Equal(got, repeated) {
		sc.t.Errorf("repeats %v, want %v", got, repeated)
	}
	var whole bool
	query := "SELECT count() = uniqExact(offset) AND count() = " + fmt.Sprint(len(sc.values)) + " FROM " + sc.cfg.Database + ".envelopes"
	if err := sc.s.conn.QueryRow(sc.t.Context(), query).Scan(&whole); err != nil || !whole {
		sc.t.Errorf("every offset once: %v, %v", whole, err)
	}
	var kept bool
	query = "SELECT countIf(source_instance = 'gw-1' AND source_sequence > 0 AND call_id != '') = count() FROM " + sc.cfg.Database + ".envelopes WHERE status = 'repeated'"
	if err := sc.s.conn.QueryRow(sc.t.Context(), query).Scan(&kept); err != nil || !kept {
		sc.t.Errorf("repeats keep their source: %v, %v", kept, err)
	}
	for _, table := range []string{"calls", "tool_calls", "payloads", "dead_letters"} {
		if got := sc.dump(table, offsetsIn(repeated)); len(got) != 0 {
			sc.t.Errorf("%s has %d rows of repeats", table, len(got))
		}
	}
	sc.checkSums()
}

func none(int) bool { return false }

func testRepeats(t *testing.T, s *suite) {
	sc := newScene(t, s)
	sc.repeats = true
	sc.produce(80, none)
	sc.send(sc.values[10:20]...) // 80-89: in the same batch
	sc.run(nil)
	want := []int64{80, 81, 82, 83, 84, 85, 86, 87, 88, 89}
	sc.checkRepeats(want)

	next := len(sc.values)
	for i := range 10 { // after a restart: new and old ones mixed
		sc.send(wire.MarshalEnvelope(nil, call(1000+i)), sc.values[30+i])
		want = append(want, int64(next+2*i+1))
	}
	sc.rows = 7 // several batches, the first of which has to be built again
	sc.run(nil)
	sc.checkRepeats(want)

	other := call(5)
	other.Source.BootEpoch++ // another life of the source numbers from the start
	unnumbered := call(6)
	unnumbered.Source.Sequence = 0
	sc.send(wire.MarshalEnvelope(nil, other), wire.MarshalEnvelope(nil, unnumbered), wire.MarshalEnvelope(nil, unnumbered))
	sc.run(nil)
	sc.checkRepeats(want)
}

// testRepeatsCrash kills the role around the delivery of a batch that has to be built again.
func testRepeatsCrash(t *testing.T, s *suite) {
	topic := newScene(t, s)
	topic.repeats, topic.rows = true, 30
	topic.produce(30, none)
	topic.send(topic.values[5:15]...)
	topic.send(wire.MarshalEnvelope(nil, call(2000)))
	topic.run(nil)
	want := []int64{30, 31, 32, 33, 34, 35, 36, 37, 38, 39}
	topic.checkRepeats(want)
	for _, at := range []string{"W1", "W2", "W3", "W4"} {
		sc := *topic
		sc.cfg, sc.group = s.fresh(t), "store-"+at
		passed := map[string]int{}
		sc.run(func(point string, crash func()) {
			if passed[point]++; point == at && passed["W4"] == 1 && (at != "W4" || passed[at] == 1) { // within the second batch
				crash()
			}
		})
		sc.run(nil)
		sc.checkRepeats(want)
		for _, table := range []string{"calls", "tool_calls", "payloads", "envelopes"} {
			if diff := cmp.Diff(topic.dump(table, "1"), sc.dump(table, "1")); diff != "" {
				t.Errorf("%s after a crash at %s (-want +got):\n%.1000s", table, at, diff)
			}
		}
	}
}

// testResent sends dead letters once more, as a replay does: those are no repeats until a row of them is stored.
func testResent(t *testing.T, s *suite) {
	sc := newScene(t, s)
	sc.repeats = true
	sc.produce(40, among(7, 9))
	sc.refuse("calls")
	sc.send(sc.values[15]) // 40: the tap sends a refused one twice
	sc.run(nil)
	if got := sc.withStatus("rejected"); !slices.Equal(got, []int64{15, 19}) {
		t.Fatalf("rejected %v", got)
	}
	sc.accept("calls")
	client := kafkaClient(t, sc.cluster)
	for _, i := range []int{15, 19, 3, 15} { // 41 and 42 are stored; 43 was never lost; 44 is sent twice
		rec := &kgo.Record{Topic: event.TopicEnvelopes, Key: []byte("k"), Value: sc.values[i], Headers: []kgo.RecordHeader{{Key: "dlq-offset", Value: []byte(fmt.Sprint(i))}}}
		sc.values = append(sc.values, rec.Value)
		if err := client.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	sc.run(nil)
	if got := sc.withStatus("repeated"); !slices.Equal(got, []int64{40, 43, 44}) {
		t.Errorf("repeats %v", got)
	}
	if got := strings.Join(sc.dump("calls", "startsWith(call_id, 'poison')"), "\n"); strings.Count(got, "poison") != 2 {
		t.Errorf("calls that were refused once:\n%s", got)
	}
	sc.checkSums()
}
