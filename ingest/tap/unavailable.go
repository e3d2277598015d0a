package tap

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// retryAfter is when a refused caller should come back.
const retryAfter = 5 * time.Second

// UnavailableError is what the RoundTripper returns instead of making a call that could not be audited: its route has
// on_audit_failure closed, and neither Kafka nor the spool takes envelopes.
type UnavailableError struct {
	Route      string
	RetryAfter time.Duration // when to try again
}

// Error implements error.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("call not made: auditing of route %s is unavailable, and its on_audit_failure is closed; try again in %v", e.Route, e.RetryAfter)
}

// refuseUnaudited answers a call that could not be audited.
func refuseUnaudited(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	refuse(w, http.StatusServiceUnavailable, "audit_unavailable", "Auditing is unavailable, and this route serves no unaudited calls. Try again later.", "")
}
