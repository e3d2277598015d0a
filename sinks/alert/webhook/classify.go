package webhook

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/modeltrail/modeltrail/sinks/alert"
)

// classify turns a status into an outcome. 2xx is delivered. 408, 425 and 429 and every 5xx may pass and are
// repeated. Everything else, redirects included, says that this request will never be taken.
func classify(status int, header http.Header, now time.Time) error {
	if status >= 200 && status < 300 {
		return nil
	}
	err := fmt.Errorf("receiver answered %d", status)
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests,
		status >= 500:
		return alert.After(err, retryAfter(header.Get("Retry-After"), now))
	}
	return alert.Permanent(err)
}

// retryAfter reads both forms of the header (RFC 9110, 10.2.3); 0 when it is missing, malformed or past.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(at.Sub(now), 0)
}
