package background

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patience is how late a thread may show up before it is looked at, and how long it is looked at.
	patience = 10 * time.Millisecond
	// firstStay and longestStay bound how long a thread keeps the priority of calls before it gives way again. The time
	// doubles with every try that fails.
	firstStay   = 10 * time.Second
	longestStay = 10 * time.Minute
)

// Thread is the thread of a goroutine whose work may wait. While the machine has processor time to spare, it runs only
// when no other thread of the machine wants to (SCHED_IDLE): a call that wakes up takes the processor at once.
//
// On a machine without spare time such a thread stands still for seconds, and then so does the whole process, because the
// garbage collector waits for every thread that runs Go code. Calls therefore watch over it: one that does not show up
// when it is due, and gets no processor time either, gets the priority of calls for a while. Where a process may not do
// that (it takes CAP_SYS_NICE, or an RLIMIT_NICE of 20 or more), the thread has a lower weight instead (nice 10), which
// it keeps.
//
// The zero value is ready for Bind. Watch may be called by any goroutine, Due by whoever knows when the thread must show
// up next, the other methods by its own goroutine only.
type Thread struct {
	due    atomic.Int64 // unix nanoseconds; 0 before Bind
	raised atomic.Bool

	looking sync.Mutex
	id      int   // 0: not watched over
	episode int64 // the due time that passed
	since   int64 // when it was looked at first
	used    time.Duration

	gives bool // way at present
	at    time.Time
	stay  time.Duration
}

// Never is the due time of a thread that waits for something without end.
const Never = time.Duration(math.MaxInt64)

// Bind binds the calling goroutine to its thread for good and lets the thread give way. The thread ends with the
// goroutine.
func (t *Thread) Bind() {
	runtime.LockOSThread()
	t.Due(time.Now(), Never)
	if !canReturn() {
		lowerWeight()
		return
	}
	t.looking.Lock()
	t.id = threadID()
	t.looking.Unlock()
	t.stay = firstStay
	t.yield()
}

// Due says that the thread is to show up within d from now.
func (t *Thread) Due(now time.Time, d time.Duration) {
	if d == Never {
		t.due.Store(math.MaxInt64)
		return
	}
	t.due.Store(now.Add(d + patience).UnixNano())
}

// Settle lets a thread that was raised give way again when its time is over.
func (t *Thread) Settle(now time.Time) {
	switch {
	case !t.raised.Load():
		return
	case t.gives: // it was raised since the last call
		t.gives = false
		if now.Sub(t.at) > t.stay {
			t.stay = firstStay
		} else {
			t.stay = min(2*t.stay, longestStay)
		}
		t.at = now
	case now.Sub(t.at) > t.stay:
		t.yield()
	}
}

func (t *Thread) yield() {
	t.gives, t.at = giveWay() == nil, time.Now()
	t.raised.Store(!t.gives)
}

// Watch raises the thread if it is late and stands still. It costs a load when it is not late.
func (t *Thread) Watch(now time.Time) {
	due := t.due.Load()
	if now.UnixNano() <= due || t.raised.Load() || !t.looking.TryLock() {
		return
	}
	defer t.looking.Unlock()
	if t.id != 0 && t.stands(due, now.UnixNano()) && raise(t.id) == nil {
		t.raised.Store(true)
	}
}

// stands reports that the thread got less than half of a processor since it was looked at first.
func (t *Thread) stands(due, now int64) bool {
	looked := time.Duration(now - t.since)
	if due == t.episode && looked < patience {
		return false
	}
	used, err := processorTime(t.id)
	if err != nil {
		return false
	}
	if due == t.episode && used-t.used < looked/2 {
		return true
	}
	t.episode, t.since, t.used = due, now, used
	return false
}
