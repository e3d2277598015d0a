package alert

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// receiver records keys and answers by key.
type receiver struct {
	mu      sync.Mutex
	got     map[string]int
	answers map[string]error
}

func (r *receiver) Name() string { return "receiver" }

func (r *receiver) Notify(_ context.Context, f *event.Finding) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.answers[f.GetKey()]; err != nil {
		return err
	}
	r.got[f.GetKey()]++
	return nil
}

func findings(keys ...string) []*event.Finding {
	var out []*event.Finding
	for _, k := range keys {
		out = append(out, &event.Finding{Key: k, Severity: event.Severity_SEVERITY_MEDIUM})
	}
	return out
}

func noGiveUp(context.Context, int, string, error) error { return errors.New("unexpected give-up") }

func newTestDispatcher(r *receiver) *Dispatcher {
	met, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		panic(err)
	}
	return NewDispatcher(r, 4, 100, event.Severity_SEVERITY_LOW, zerolog.Nop(), met)
}

func TestEveryKeyIsNotifiedOnce(t *testing.T) {
	r := &receiver{got: map[string]int{}}
	d := newTestDispatcher(r)
	d.Remember("before")
	for range 3 {
		if err := d.Deliver(t.Context(), findings("a", "b", "a", "before"), noGiveUp); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1}, r.got); diff != "" {
		t.Error(diff)
	}
}

func TestFindingsBelowTheSeverityStayAtHome(t *testing.T) {
	r := &receiver{got: map[string]int{}}
	d := newTestDispatcher(r)
	low := &event.Finding{Key: "low", Severity: event.Severity_SEVERITY_INFORMATIONAL}
	if err := d.Deliver(t.Context(), []*event.Finding{low}, noGiveUp); err != nil || len(r.got) != 0 {
		t.Errorf("%v %v", err, r.got)
	}
}

func TestRefusedFindingIsRecordedAndTheOthersGoOn(t *testing.T) {
	r := &receiver{got: map[string]int{}, answers: map[string]error{
		"refused": Permanent(errors.New("answered 400")), "late": fmt.Errorf("%w after 9 attempts: %w", ErrGaveUp, errors.New("down")),
	}}
	var mu sync.Mutex
	given := map[string]string{}
	batch := findings("a", "refused", "b", "late")
	err := newTestDispatcher(r).Deliver(t.Context(), batch, func(_ context.Context, i int, reason string, _ error) error {
		mu.Lock()
		defer mu.Unlock()
		given[batch[i].GetKey()] = reason
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"refused": ReasonPermanent, "late": ReasonGaveUp}, given); diff != "" {
		t.Error(diff)
	}
	if len(r.got) != 2 {
		t.Errorf("delivered %v", r.got)
	}
}

func TestInterruptedDeliveryIsRepeatedForWhatIsMissing(t *testing.T) {
	r := &receiver{got: map[string]int{}, answers: map[string]error{"b": context.Canceled}}
	d := newTestDispatcher(r)
	batch := findings("a", "b", "c")
	if err := d.Deliver(t.Context(), batch, noGiveUp); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	delete(r.answers, "b")
	if err := d.Deliver(t.Context(), batch, noGiveUp); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "c": 1}, r.got); diff != "" {
		t.Error(diff)
	}
}

func TestGiveUpThatCannotBeRecordedFailsTheDelivery(t *testing.T) {
	r := &receiver{got: map[string]int{}, answers: map[string]error{"x": Permanent(errors.New("answered 410"))}}
	d := newTestDispatcher(r)
	full := errors.New("dead letter topic is down")
	err := d.Deliver(t.Context(), findings("x"), func(context.Context, int, string, error) error { return full })
	if !errors.Is(err, full) {
		t.Fatalf("error %v", err)
	}
	delete(r.answers, "x")
	if err := d.Deliver(t.Context(), findings("x"), noGiveUp); err != nil || r.got["x"] != 1 {
		t.Errorf("%v %v", err, r.got)
	}
}

func TestRememberedKeysAreBounded(t *testing.T) {
	s := newKeySet(10)
	for i := range 1000 {
		s.add(fmt.Sprint(i))
	}
	if n := len(s.young) + len(s.old); n > 10 {
		t.Errorf("%d keys held", n)
	}
	if s.add("999") {
		t.Error("the newest key was forgotten")
	}
}
