package background

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestYield_LeavesTheThreadWhatNoOtherWants_AndNoOtherThread(t *testing.T) {
	policy := make(chan uint32)
	go func() {
		Yield()
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			attr = &unix.SchedAttr{}
		}
		policy <- attr.Policy
	}()
	if got := <-policy; got != unix.SCHED_IDLE {
		t.Errorf("the policy of the thread is %d, not %d", got, unix.SCHED_IDLE)
	}
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy == unix.SCHED_IDLE {
		t.Errorf("the policy of another thread is %v, %v", attr, err)
	}
}
