package ledger

// Reasons why an envelope was given up. They are kept by their place in this list: append, never reorder.
const (
	ReasonOther         = "other"
	ReasonMemory        = "memory"         // the source's memory bound
	ReasonRefused       = "refused"        // the publisher did not take it
	ReasonClosed        = "closed"         // the source was shutting down
	ReasonCrash         = "crash"          // the process was killed
	ReasonShutdown      = "shutdown"       // the process stopped at its deadline
	ReasonOverload      = "overload"       // the sender was asked to come back
	ReasonSpoolFull     = "spool_full"     // the spool's bound on disk
	ReasonSpoolFailed   = "spool_failed"   // the spool could not write
	ReasonBufferFull    = "buffer_full"    // the publisher's memory bound
	ReasonTimeout       = "timeout"        // the broker took too long
	ReasonTooLarge      = "too_large"      // the broker refuses records of this size
	ReasonNotAuthorized = "not_authorized" // the broker refuses the source
	ReasonSpoolDamage   = "spool_damage"   // lost in the spool's files
	// ReasonUnacknowledged: the sender of a refused envelope never came back with it.
	ReasonUnacknowledged = "unacknowledged"
)

// maxReasons bounds the counters of an hour.
const maxReasons = 16

var reasonList = [...]string{
	ReasonOther, ReasonMemory, ReasonRefused, ReasonClosed, ReasonCrash, ReasonShutdown, ReasonOverload, ReasonSpoolFull,
	ReasonSpoolFailed, ReasonBufferFull, ReasonTimeout, ReasonTooLarge, ReasonNotAuthorized, ReasonSpoolDamage, ReasonUnacknowledged,
}

// reasonIndex is the place of a reason; one that is not in the list counts as ReasonOther.
func reasonIndex(reason string) int {
	for i, r := range reasonList {
		if r == reason {
			return i
		}
	}
	return 0
}
