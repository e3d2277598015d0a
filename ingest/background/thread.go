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
// The zero value is ready for Bind; without it nobody watches. Watch, Due and NotDue may be called by any goroutine, Bind
// and Settle by its own only.
type Thread struct {
	id     atomic.Int64 // 0: not watched over
	due    atomic.Int64 // unix nanoseconds
	raised atomic.Bool

	looking sync.Mutex
	episode int64 // the due time that passed
	since   int64 // when it was looked at first
	used    time.Duration

	givesWay  bool
	changedAt time.Time     // when it gave way or was raised
	stay      time.Duration // for which it keeps the priority of calls
}

// Bind binds the calling goroutine to its thread for good and lets the thread give way. The thread ends with the
// goroutine.
func (t *Thread) Bind() {
	runtime.LockOSThread()
	if !canReturn() {
		lowerWeight()
		return
	}
	t.NotDue()
	t.id.Store(int64(threadID()))
	t.stay = firstStay
	t.giveWay()
}

// Due says that the thread is to show up within d from now.
func (t *Thread) Due(now time.Time, d time.Duration) {
	t.due.Store(now.Add(d + patience).UnixNano())
}

// NotDue says that the thread waits for something without end.
func (t *Thread) NotDue() { t.due.Store(math.MaxInt64) }

// Settle lets a thread that was raised give way again when its time is over.
func (t *Thread) Settle(now time.Time) {
	switch {
	case !t.raised.Load():
		return
	case t.givesWay: // it was raised since the last call
		t.givesWay = false
		if now.Sub(t.changedAt) > t.stay {
			t.stay = firstStay
		} else {
			t.stay = min(2*t.stay, longestStay)
		}
		t.changedAt = now
	case now.Sub(t.changedAt) > t.stay:
		t.giveWay()
	}
}

func (t *Thread) giveWay() {
	t.givesWay, t.changedAt = giveWay() == nil, time.Now()
	t.raised.Store(!t.givesWay)
}

// Watch raises the thread if it is late and stands still. It costs two loads when it is not late.
func (t *Thread) Watch(now time.Time) {
	id, due := int(t.id.Load()), t.due.Load()
	if id == 0 || now.UnixNano() <= due || t.raised.Load() || !t.looking.TryLock() {
		return
	}
	defer t.looking.Unlock()
	if t.stands(id, due, now.UnixNano()) && raise(id) == nil {
		t.raised.Store(true)
	}
}

// stands reports that the thread got less than half of a processor since it was looked at first.
func (t *Thread) stands(id int, due, now int64) bool {
	looked := time.Duration(now - t.since)
	if due == t.episode && looked < patience {
		return false
	}
	used, err := processorTime(id)
	if err != nil {
		return false
	}
	if due == t.episode && used-t.used < looked/2 {
		return true
	}
	t.episode, t.since, t.used = due, now, used
	return false
}
