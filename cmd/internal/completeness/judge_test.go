package completeness

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	ten    = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	eleven = ten.Add(time.Hour)
	epoch  = Epoch{Source{"tap", "edge-1"}, 100}
	next   = Epoch{Source{"tap", "edge-1"}, 200}
)

func head(e Epoch, state string, last, through, pending uint64) Head {
	return Head{Epoch: e, State: state, LastSequence: last, Through: through, Pending: pending, Tracked: true, Trusted: true}
}

func told(e Epoch, hour time.Time, numbered, first, last uint64) Told {
	return Told{Epoch: e, Hour: hour, Numbered: numbered, First: first, Last: last}
}

func found(e Epoch, hour time.Time, stored, beyond uint64) Found {
	return Found{Epoch: e, Hour: hour, Stored: stored, BeyondThrough: beyond}
}

func TestJudge(t *testing.T) {
	lossy := told(epoch, ten, 10, 1, 10)
	lossy.Lost, lossy.Dropped = map[string]uint64{"too_large": 2}, map[string]uint64{"memory": 3}
	rejected := found(epoch, ten, 8, 0)
	rejected.Dead, rejected.Repeated = 2, 4
	spooling := head(next, "running", 0, 0, 0)
	spooling.Spooled = 4
	untracked := Head{Epoch: epoch, State: "running", LastSequence: 10, Trusted: true}
	receiver := untracked
	receiver.Spooled = 3
	distrusted := head(epoch, "running", 10, 10, 0)
	distrusted.Trusted = false
	for name, c := range map[string]struct {
		heads []Head
		told  []Told
		found []Found
		want  []Hour
		gaps  []Gap
	}{
		"all there": {
			heads: []Head{head(epoch, "running", 10, 10, 0)}, told: []Told{told(epoch, ten, 10, 1, 10)}, found: []Found{found(epoch, ten, 10, 0)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 10}},
		},
		"dead letters and repeats are no loss": {
			heads: []Head{head(epoch, "running", 10, 10, 0)}, told: []Told{told(epoch, ten, 10, 1, 10)}, found: []Found{rejected},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 8, DeadLettered: 2, Repeated: 4}},
		},
		"a delivered one is missing while others are on their way": {
			heads: []Head{head(epoch, "running", 10, 7, 3)}, told: []Told{told(epoch, ten, 10, 1, 10)}, found: []Found{found(epoch, ten, 7, 1)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 7, Pending: 2, Missing: 1}},
			gaps: []Gap{{Epoch: epoch, Hour: ten, First: 1, Judged: 7, Last: 10, Count: 1, Others: 2}},
		},
		"what waits is of the newest hour": {
			heads: []Head{head(epoch, "running", 10, 7, 3)}, told: []Told{told(epoch, ten, 6, 1, 6), told(epoch, eleven, 4, 7, 10)},
			found: []Found{found(epoch, ten, 5, 0), found(epoch, eleven, 1, 0)},
			want:  []Hour{{Hour: ten, Epochs: 1, Sent: 6, Stored: 5, Missing: 1}, {Hour: eleven, Epochs: 1, Sent: 4, Stored: 1, Pending: 3}},
			gaps:  []Gap{{Epoch: epoch, Hour: ten, First: 1, Judged: 6, Last: 6, Count: 1}},
		},
		"given up with and without a number": {
			heads: []Head{head(epoch, "running", 10, 10, 0)}, told: []Told{lossy}, found: []Found{found(epoch, ten, 8, 0)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 8, Dropped: map[string]uint64{"too_large": 2, "memory": 3}}},
		},
		"killed with envelopes on their way": {
			heads: []Head{head(epoch, "crashed", 10, 6, 4)}, told: []Told{told(epoch, ten, 10, 1, 10)}, found: []Found{found(epoch, ten, 8, 2)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 8, Dropped: map[string]uint64{"crash": 2}}},
		},
		"killed, and a delivered one is missing": {
			heads: []Head{head(epoch, "crashed", 10, 6, 4)}, told: []Told{told(epoch, ten, 10, 1, 10)}, found: []Found{found(epoch, ten, 7, 2)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 7, Missing: 1, Dropped: map[string]uint64{"crash": 2}}},
			gaps: []Gap{{Epoch: epoch, Hour: ten, First: 1, Judged: 6, Last: 10, Count: 1, Others: 2}},
		},
		"killed, and the next boot still has a spool": {
			heads: []Head{head(epoch, "crashed", 10, 6, 4), spooling}, told: []Told{told(epoch, ten, 10, 1, 10)}, found: []Found{found(epoch, ten, 6, 0)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 6, Pending: 4}},
		},
		"stopped in order with something undelivered": {
			heads: []Head{head(epoch, "closed", 10, 6, 4)}, told: []Told{told(epoch, ten, 10, 1, 10)}, found: []Found{found(epoch, ten, 6, 0)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 6, Missing: 4}},
			gaps: []Gap{{Epoch: epoch, Hour: ten, First: 1, Judged: 10, Last: 10, Count: 4}},
		},
		"a source that does not hear of deliveries": {
			heads: []Head{untracked}, told: []Told{told(epoch, ten, 10, 1, 10)}, found: []Found{found(epoch, ten, 9, 0)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 9, Missing: 1}},
			gaps: []Gap{{Epoch: epoch, Hour: ten, First: 1, Judged: 10, Last: 10, Count: 1}},
		},
		"a receiver whose spool is not empty": {
			heads: []Head{receiver}, told: []Told{told(epoch, ten, 10, 1, 10)}, found: []Found{found(epoch, ten, 6, 0)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 6, Pending: 3, Missing: 1}},
			gaps: []Gap{{Epoch: epoch, Hour: ten, First: 1, Judged: 10, Last: 10, Count: 1, Others: 3}},
		},
		"one that never comes holds the watermark, and another is missing above it": {
			heads: []Head{head(epoch, "running", 10, 2, 1)}, told: []Told{told(epoch, ten, 10, 1, 10)}, found: []Found{found(epoch, ten, 8, 6)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 8, Pending: 1, Missing: 1}},
			gaps: []Gap{{Epoch: epoch, Hour: ten, First: 1, Judged: 2, Last: 10, Count: 1, Others: 1}},
		},
		"more than was told": {
			heads: []Head{head(epoch, "running", 10, 10, 0)}, told: []Told{told(epoch, ten, 8, 1, 10)}, found: []Found{found(epoch, ten, 10, 0)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 8, Stored: 10, Surplus: 2}},
		},
		"late ones are told under no hour": {
			heads: []Head{head(epoch, "running", 10, 10, 0)}, told: []Told{told(epoch, ten, 7, 1, 10), told(epoch, time.Time{}, 3, 4, 6)},
			found: []Found{found(epoch, ten, 8, 0), found(epoch, ten.Add(-9*time.Hour), 2, 0)},
			want:  []Hour{{Epochs: 1, Sent: 3, Stored: 3}, {Hour: ten, Epochs: 1, Sent: 7, Stored: 7}},
		},
		"two boots in one hour": {
			heads: []Head{head(epoch, "closed", 10, 10, 0), head(next, "running", 5, 5, 0)}, told: []Told{told(epoch, ten, 10, 1, 10), told(next, ten, 5, 1, 5)},
			found: []Found{found(epoch, ten, 10, 0), found(next, ten, 5, 0)},
			want:  []Hour{{Hour: ten, Epochs: 2, Sent: 15, Stored: 15}},
		},
		"a key that is not trusted": {
			heads: []Head{distrusted}, told: []Told{told(epoch, ten, 10, 1, 10)}, found: []Found{found(epoch, ten, 10, 0)},
			want: []Hour{{Hour: ten, Epochs: 1, Sent: 10, Stored: 10, Verified: false, Surplus: 0}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Judge(c.heads, c.told, c.found)
			for i := range c.want {
				c.want[i].Source, c.want[i].Verified = epoch.Source, c.heads[0].Trusted
				if c.want[i].Dropped == nil {
					c.want[i].Dropped = map[string]uint64{}
				}
			}
			if diff := cmp.Diff(c.want, got.Hours); diff != "" {
				t.Errorf("hours (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.gaps, got.Gaps); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJudge_EpochsWithoutStatements_AreTold(t *testing.T) {
	got := Judge(nil, nil, []Found{found(epoch, ten, 10, 0)})
	if len(got.Hours) != 0 || len(got.Unstated) != 1 || got.Unstated[0].Stored != 10 {
		t.Errorf("got %v", got)
	}
}
