package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/schemas/secret"
)

// Headers of every delivery.
const (
	HeaderSignature = "X-ModelTrail-Signature" // "t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>">"
	HeaderDelivery  = "X-ModelTrail-Delivery"  // the finding key: equal for every repetition
)

// Errors of Verify.
var (
	ErrMalformed = errors.New("malformed signature header")
	ErrExpired   = errors.New("signature time is outside the tolerance")
	ErrMismatch  = errors.New("signature does not match")
)

// Sign returns the value of HeaderSignature for a body sent at a time.
func Sign(key secret.Secret, body []byte, at time.Time) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(digest(key, seconds, body))
}

// Verify checks the value of HeaderSignature against the body as it was received, byte for byte. The error wraps
// ErrMalformed, ErrExpired or ErrMismatch. Several v1 entries are accepted, one of which must match, so that a key
// can be rotated without loss. A tolerance of 0 or less switches the check of the time off. An empty key never
// matches.
func Verify(key secret.Secret, header string, body []byte, now time.Time, tolerance time.Duration) error {
	seconds, signatures, err := parse(header)
	if err != nil {
		return err
	}
	if key.IsZero() {
		return ErrMismatch
	}
	want := digest(key, seconds, body)
	matched := false
	for _, signature := range signatures {
		if hmac.Equal(signature, want) {
			matched = true
		}
	}
	if !matched {
		return ErrMismatch
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: time is not a number", ErrMalformed)
	}
	if age := now.Sub(time.Unix(unix, 0)); tolerance > 0 && (age > tolerance || age < -tolerance) {
		return ErrExpired
	}
	return nil
}

// maxSignatures bounds the work a hostile header can ask for.
const maxSignatures = 8

func parse(header string) (seconds string, signatures [][]byte, err error) {
	for field := range strings.SplitSeq(header, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		switch {
		case !ok:
			return "", nil, fmt.Errorf("%w: field without value", ErrMalformed)
		case name == "t" && seconds != "":
			return "", nil, fmt.Errorf("%w: two times", ErrMalformed)
		case name == "t":
			seconds = value
		case name == "v1":
			signature, err := hex.DecodeString(value)
			if err != nil || len(signature) != sha256.Size || len(signatures) == maxSignatures {
				return "", nil, fmt.Errorf("%w: v1 is not the hex of a SHA-256", ErrMalformed)
			}
			signatures = append(signatures, signature)
		}
	}
	if seconds == "" || len(signatures) == 0 {
		return "", nil, fmt.Errorf("%w: needs t and v1", ErrMalformed)
	}
	return seconds, signatures, nil
}

func digest(key secret.Secret, seconds string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(key.Value()))
	mac.Write([]byte(seconds))
	mac.Write([]byte("."))
	mac.Write(body)
	return mac.Sum(nil)
}
