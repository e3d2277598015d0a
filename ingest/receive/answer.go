package receive

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// overloadRetry is when a sender may come back that met a bound of this process.
const overloadRetry = time.Second

// failure answers a request of which nothing was taken.
type failure struct {
	status  int
	code    string // snake_case, from a closed set
	limit   string // key of the setting that was met, if one was
	value   int64  // its value, if it is a number
	message string // what to do; never quotes the request
	retry   time.Duration
}

// Result is the body of a 2xx answer: every record is in one of its counts, and durable. Status 207 says that there are
// rejected ones.
type Result struct {
	Accepted      int        `json:"accepted"`          // records that are published or spooled
	Rejected      []Rejected `json:"rejected"`          // records that are dead letters, the first 100
	RejectedCount int        `json:"rejected_count"`    // all of them
	Reduced       int        `json:"reduced,omitempty"` // accepted ones of which a body was left out
}

// Rejected is one record that could not become an envelope.
type Rejected struct {
	Index  int    `json:"index"` // place in the body, from 0
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

// maxRejected bounds the list of an answer.
const maxRejected = 100

// Problem is the body of any other answer.
type Problem struct {
	Error ProblemError `json:"error"`
}

// ProblemError says what was wrong with a request and what to do.
type ProblemError struct {
	Code              string `json:"code"`
	Message           string `json:"message"`
	Limit             string `json:"limit,omitempty"` // the receiver's setting that was met
	Value             int64  `json:"value,omitempty"`
	RetryAfterSeconds int    `json:"retry_after_seconds,omitempty"`
}

func (f *failure) write(w http.ResponseWriter) {
	p := Problem{ProblemError{Code: f.code, Message: f.message, Limit: f.limit, Value: f.value}}
	if f.retry > 0 {
		p.Error.RetryAfterSeconds = int(math.Ceil(f.retry.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(p.Error.RetryAfterSeconds))
	}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	writeJSON(w, f.status, p)
}

func (r Result) write(w http.ResponseWriter) {
	status := http.StatusOK
	if r.RejectedCount > 0 {
		status = http.StatusMultiStatus
	}
	writeJSON(w, status, r)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // the types above always encode
		status, text = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
