package receive

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/modeltrail/modeltrail/schemas/secret"
)

// HeaderSignature carries "t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>">" over the body as it is sent, before
// decompression. Every attempt is signed anew: a signature is accepted once.
const HeaderSignature = "X-ModelTrail-Signature"

// Sign returns the value of HeaderSignature for a body sent at a time. It is what senders in Go use.
func Sign(key secret.Secret, body []byte, at time.Time) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(digest([]byte(key.Value()), seconds, body))
}

func digest(key []byte, seconds string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(seconds))
	mac.Write([]byte("."))
	mac.Write(body)
	return mac.Sum(nil)
}

// signature is a parsed header.
type signature struct {
	seconds string
	at      time.Time
	values  [][]byte // several while a sender changes its key
}

// maxValues bounds the work a hostile header can ask for.
const maxValues = 4

var errSignature = errors.New("malformed signature header")

func parseSignature(header string) (*signature, error) {
	var s signature
	for field := range strings.SplitSeq(header, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		switch {
		case !ok:
			return nil, errSignature
		case name == "t":
			unix, err := strconv.ParseInt(value, 10, 64)
			if err != nil || s.seconds != "" {
				return nil, errSignature
			}
			s.seconds, s.at = value, time.Unix(unix, 0)
		case name == "v1":
			mac, err := hex.DecodeString(value)
			if err != nil || len(mac) != sha256.Size || len(s.values) == maxValues {
				return nil, errSignature
			}
			s.values = append(s.values, mac)
		}
	}
	if s.seconds == "" || len(s.values) == 0 {
		return nil, errSignature
	}
	return &s, nil
}

// verify checks the signature over a body and returns what to remember of it. Every key meets every value.
func (s *signature) verify(of *source, body []byte, now time.Time, tolerance time.Duration) (mac [sha256.Size]byte, deny *denial) {
	matched, live := 0, 0
	for _, k := range of.hmac {
		want := digest(k.secret, s.seconds, body)
		for _, value := range s.values {
			equal := subtle.ConstantTimeCompare(want, value)
			matched |= equal
			if k.expires.IsZero() || now.Before(k.expires) {
				live |= equal
			}
		}
		if live == 1 && mac == ([sha256.Size]byte{}) {
			copy(mac[:], want)
		}
	}
	age := now.Sub(s.at)
	switch {
	case matched == 0:
		return mac, &denial{of.Name, denySignature}
	case live == 0:
		return mac, &denial{of.Name, denyExpired}
	case age > tolerance || age < -tolerance:
		return mac, &denial{of.Name, denyTime}
	}
	return mac, nil
}

// replays remembers the signatures of accepted requests for as long as their time is within the tolerance.
type replays struct {
	max  int
	keep time.Duration

	mu    sync.Mutex
	seen  map[[sha256.Size]byte]time.Time // when it may be forgotten
	swept time.Time
}

func newReplays(cfg Config) *replays {
	return &replays{max: cfg.MaxSignatures, keep: cfg.SignatureTolerance, seen: map[[sha256.Size]byte]time.Time{}}
}

// claim notes a signature. fresh is false when it is known; room is false when no more can be noted.
func (r *replays) claim(mac [sha256.Size]byte, signed, now time.Time) (fresh, room bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until, known := r.seen[mac]; known && !now.After(until) {
		return false, true
	}
	if len(r.seen) >= r.max && now.Sub(r.swept) >= time.Second {
		r.swept = now
		for old, until := range r.seen {
			if now.After(until) {
				delete(r.seen, old)
			}
		}
	}
	if len(r.seen) >= r.max {
		return true, false
	}
	r.seen[mac] = signed.Add(r.keep)
	return true, true
}

// release forgets the signature of a request that was not taken, so that it may come again.
func (r *replays) release(mac [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, mac)
}
