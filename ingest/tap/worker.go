package tap

import (
	"runtime"
	"sync"
	"time"

	"github.com/modeltrail/modeltrail/ingest/background"
	"github.com/modeltrail/modeltrail/schemas/event"
)

const (
	// envelopeCost is what a queued envelope is charged besides its body, in bytes.
	envelopeCost = 2 << 10
	// pause is how long a busy worker rests between two looks at its queue. Waking it from the goroutine of a
	// call would cost that call a system call; instead the worker looks by itself while there is traffic. It looks
	// seldom, because what it computes costs the call that comes next the processor's caches, and sooner when the
	// queue is crowded.
	pause = 25 * time.Millisecond
	// slice is how long the worker works before it rests.
	slice = time.Millisecond
	// longestRest is the most that it rests in between.
	longestRest = 20 * time.Millisecond
	// restless is how many looks find nothing before the worker waits to be woken.
	restless = 40
)

// job is one envelope to make.
type job struct {
	call  *call
	phase event.Phase
}

// worker makes and publishes envelopes off the calls' goroutines.
type worker struct {
	tap   *Tap
	wake  chan struct{} // out of sleep
	look  chan struct{} // out of a pause
	procs int           // processors the program may use

	thread background.Thread

	mu     sync.Mutex
	queue  []job
	asleep bool
	closed bool

	lean     bool   // long bodies are left out, since calls bring more than is examined
	body     []byte // scratch: captured bytes in one piece
	joined   []byte // scratch: a long body's beginning and end in one text
	skeleton []byte // scratch: an outline before redaction
	env      event.Envelope
	request  event.Request
	answer   event.Response
}

func newWorker(t *Tap) *worker {
	w := &worker{tap: t, wake: make(chan struct{}, 1), look: make(chan struct{}, 1), procs: runtime.GOMAXPROCS(0)}
	w.env.Source = t.source()
	return w
}

// put queues an envelope. It never waits: when the budget is used up or the worker has stopped, the envelope is
// counted as dropped and its memory freed.
func (w *worker) put(c *call, phase event.Phase) {
	now := time.Now()
	w.thread.Watch(now)
	if !w.tap.budget.take(envelopeCost, w.tap.budget.max) {
		w.refuse(c, phase, dropMemory)
		return
	}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		w.tap.budget.give(envelopeCost)
		w.refuse(c, phase, dropClosed)
		return
	}
	w.queue = append(w.queue, job{c, phase})
	asleep := w.asleep
	w.asleep = false
	if asleep {
		w.thread.Due(now, 0)
	}
	w.mu.Unlock()
	switch {
	case asleep:
		w.wake <- struct{}{} // never blocks: one token per sleep
	case w.tap.budget.crowded():
		select {
		case w.look <- struct{}{}:
		default:
		}
	}
}

func (w *worker) refuse(c *call, phase event.Phase, reason string) {
	w.tap.drop(reason)
	body := &c.request
	if phase == event.Phase_PHASE_RESPONSE {
		body = &c.answer
	}
	body.mu.Lock()
	body.free(&w.tap.chunks)
	body.starved = true
	body.mu.Unlock()
}

// take swaps the queue for spare; with nothing queued and doze set the worker counts as asleep.
func (w *worker) take(spare []job, doze bool) []job {
	w.mu.Lock()
	defer w.mu.Unlock()
	jobs := w.queue
	w.queue = spare[:0]
	if len(jobs) == 0 && doze {
		w.asleep = true
		w.thread.NotDue()
	}
	return jobs
}

func (w *worker) run() {
	defer w.tap.stopped.Done()
	w.giveWay()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var spare []job
	for idle := restless; ; {
		jobs := w.take(spare, idle >= restless)
		w.work(jobs)
		spare = jobs
		if len(jobs) > 0 {
			idle = 0
		} else if idle++; idle > restless {
			select {
			case <-w.wake:
				idle = 0
			case <-w.tap.closing:
				w.finish()
				return
			}
		}
		w.rest(pause)
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-w.look:
		case <-w.tap.closing:
			w.finish()
			return
		}
	}
}

// giveWay leaves calls the processor. A thread that gives way may stand still for a moment and keep others of the process
// from a place in the Go scheduler and from its collector, so only calls may be affected, which watch over it.
func (w *worker) giveWay() {
	if w.tap.set.Alone && w.procs > w.tap.cfg.Workers {
		w.thread.Bind()
		return
	}
	background.Lower()
}

// rest announces when the worker goes on.
func (w *worker) rest(d time.Duration) {
	now := time.Now()
	w.thread.Settle(now)
	w.thread.Due(now, d)
}

// work makes the queued envelopes, a slice at a time, and rests in between: however much is to be redacted, calls
// find a processor. The fewer processors there are the longer it rests: twice as long as it worked with three or less, a
// quarter with ten. What the queue cannot hold meanwhile is left out, bodies first.
func (w *worker) work(jobs []job) {
	begun := time.Now()
	for i, j := range jobs {
		strained := w.tap.budget.strained()
		w.lean = strained || w.tap.budget.pressed()
		if strained || w.closing() {
			w.hasten(jobs[i:])
			return
		}
		w.make(j.call, j.phase)
		jobs[i] = job{}
		w.tap.budget.give(envelopeCost)
		now := time.Now()
		w.thread.Due(now, 0)
		if worked := now.Sub(begun); worked > slice {
			rest := min(2*worked/time.Duration(max(w.procs-2, 1)), longestRest)
			w.rest(rest)
			time.Sleep(rest)
			begun = time.Now()
		}
	}
}

// hasten makes jobs at once and at the priority of calls: before envelopes would be lost, when bodies are left out
// already, and at the end. A machine that is busy with something else would not let the worker's own thread run.
func (w *worker) hasten(jobs []job) {
	made := make(chan struct{})
	go func() { // on another thread than the worker's own
		defer close(made)
		for i, j := range jobs {
			w.make(j.call, j.phase)
			jobs[i] = job{}
			w.tap.budget.give(envelopeCost)
		}
	}()
	<-made
}

// closing reports that the tap is.
func (w *worker) closing() bool {
	select {
	case <-w.tap.closing:
		return true
	default:
		return false
	}
}

// finish makes what is still queued and refuses what comes later.
func (w *worker) finish() {
	w.mu.Lock()
	w.closed, w.asleep = true, false
	jobs := w.queue
	w.queue = nil
	w.mu.Unlock()
	w.hasten(jobs)
}
