package background

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func policy(t *testing.T, id int) uint32 {
	t.Helper()
	attr, err := unix.SchedGetAttr(id, 0)
	if err != nil {
		t.Fatal(err)
	}
	return attr.Policy
}

// bound returns a thread that runs each function it is sent, and where to send them.
func bound(t *testing.T) (*Thread, func(func())) {
	t.Helper()
	if !canReturn() { // TestAThreadThatCouldNotBeRaisedGetsALowerWeightInstead shows what happens then
		t.Skip("this process may not raise a thread that gives way: it needs CAP_SYS_NICE or RLIMIT_NICE")
	}
	var thread Thread
	jobs, ready := make(chan func()), make(chan struct{})
	t.Cleanup(func() { close(jobs) })
	go func() {
		thread.Bind()
		close(ready)
		for job := range jobs {
			job()
		}
	}()
	<-ready
	return &thread, func(job func()) {
		done := make(chan struct{})
		jobs <- func() { job(); close(done) }
		<-done
	}
}

func TestAThreadLeavesWhatOthersWant_AndNoOtherThreadDoes(t *testing.T) {
	thread, _ := bound(t)
	if got := policy(t, int(thread.id.Load())); got != unix.SCHED_IDLE {
		t.Errorf("the policy of the thread is %d, not %d", got, unix.SCHED_IDLE)
	}
	if got := policy(t, 0); got != unix.SCHED_NORMAL {
		t.Errorf("the policy of another thread is %d", got)
	}
}

func TestAThreadThatStandsStillIsRaised_AndGivesWayAgainLater(t *testing.T) {
	thread, do := bound(t)
	start := time.Now()
	thread.Due(start, time.Second)
	look := func(after time.Duration) { thread.Watch(start.Add(after)) }
	look(time.Second)
	look(time.Second + patience) // not late yet
	look(time.Second + 3*patience)
	look(time.Second + 3*patience + patience/2) // looked at for too short
	if got := policy(t, int(thread.id.Load())); got != unix.SCHED_IDLE {
		t.Fatalf("raised too early, to policy %d", got)
	}
	look(time.Second + 4*patience)
	if got := policy(t, int(thread.id.Load())); got != unix.SCHED_NORMAL {
		t.Fatalf("a thread without processor time has policy %d", got)
	}

	raised := start.Add(2 * time.Second)
	do(func() { thread.Settle(raised) })
	do(func() { thread.Settle(raised.Add(2 * firstStay)) })
	if got := policy(t, int(thread.id.Load())); got != unix.SCHED_NORMAL {
		t.Fatalf("gave way again after %v, to policy %d", 2*firstStay, got)
	}
	do(func() { thread.Settle(raised.Add(2*firstStay + time.Second)) })
	if got := policy(t, int(thread.id.Load())); got != unix.SCHED_IDLE {
		t.Errorf("has policy %d when its time is over", got)
	}
}

func TestAThreadThatIsLateBecauseItComputesIsNotRaised(t *testing.T) {
	thread, do := bound(t)
	start := time.Now()
	thread.Due(start, 0)
	thread.Watch(start.Add(2 * patience))
	do(func() {
		for begun := used(t); used(t)-begun < 2*patience; {
		}
	})
	thread.Watch(start.Add(3 * patience))
	if got := policy(t, int(thread.id.Load())); got != unix.SCHED_IDLE {
		t.Errorf("a thread that computes was raised to policy %d", got)
	}
}

func TestAThreadThatWaitsForItsCallersIsNotRaised(t *testing.T) {
	thread, _ := bound(t)
	thread.NotDue()
	for i := range 10 {
		thread.Watch(time.Now().Add(time.Duration(i) * time.Hour))
	}
	if got := policy(t, int(thread.id.Load())); got != unix.SCHED_IDLE {
		t.Errorf("raised to policy %d", got)
	}
}

// lostRight is set for the process of the next test.
const lostRight = "MODELTRAIL_TEST_MAY_NOT_RAISE"

func TestAThreadThatCouldNotBeRaisedGetsALowerWeightInstead(t *testing.T) {
	if os.Getenv(lostRight) == "" {
		withoutCapability(t, unix.CAP_SYS_NICE, "-test.run=^"+t.Name()+"$", "-test.v")
		return
	}
	if err := unix.Setrlimit(unix.RLIMIT_NICE, &unix.Rlimit{}); err != nil {
		t.Fatal(err)
	}
	if canReturn() {
		t.Fatal("this process may raise threads")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var thread Thread
		thread.Bind()
		thread.Due(time.Now(), 0)
		for i := range 10 {
			thread.Watch(time.Now().Add(time.Duration(i) * time.Minute))
		}
		if attr, err := unix.SchedGetAttr(0, 0); err != nil || attr.Policy != unix.SCHED_NORMAL || attr.Nice != lowWeight {
			t.Errorf("%+v, %v", attr, err)
		}
	}()
	<-done
}

// withoutCapability runs this test program with a bounding set that lacks the capability.
func withoutCapability(t *testing.T, capability uintptr, args ...string) {
	t.Helper()
	done := make(chan error)
	var out []byte
	go func() {
		runtime.LockOSThread() // for good: the thread is not used again
		// Refused to an ordinary user, who has no capability to lose.
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		cmd := exec.Command(os.Args[0], args...) //nolint:gosec // this program
		cmd.Env = append(os.Environ(), lostRight+"=1")
		var err error
		out, err = cmd.CombinedOutput()
		done <- err
	}()
	if err := <-done; err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestALowerThreadHasATenthOfTheWeight(t *testing.T) {
	nice := make(chan int32)
	go func() {
		Lower()
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			attr = &unix.SchedAttr{}
		}
		nice <- attr.Nice
	}()
	if got := <-nice; got != lowWeight {
		t.Errorf("nice %d", got)
	}
}

// used is the processor time of the calling thread.
func used(t *testing.T) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d, err := processorTime(threadID())
	if err != nil {
		t.Error(err)
	}
	return d
}
