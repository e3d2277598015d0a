package receive

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/secret"
)

func one(t *testing.T, id string) []byte { return asJSON(t, envelope(id, event.Phase_PHASE_REQUEST)) }

func TestBearer_RightRotatedWrongAndExpiredTokens(t *testing.T) {
	a := bearer("a", tokenA, tokenA+"-next")
	b := bearer("b", tokenB)
	b.Bearer[0].Expires = "2027-01-15T08:00:10Z" // 10 s after the rig's clock
	r := start(t, config(a, b))
	for name, c := range map[string]struct {
		header string
		want   int
		source string
	}{
		"the old token":     {"Bearer " + tokenA, 200, "a"},
		"the new token":     {"Bearer " + tokenA + "-next", 200, "a"},
		"of another source": {"Bearer " + tokenB, 200, "b"},
		"wrong":             {"Bearer " + tokenA + "x", 401, unknownSource},
		"a part":            {"Bearer " + tokenA[:20], 401, unknownSource},
		"empty":             {"Bearer ", 401, unknownSource},
		"another scheme":    {"Basic " + tokenA, 401, unknownSource},
		"none":              {"", 401, unknownSource},
	} {
		before := r.metric("modeltrail_receive_requests_total", "source="+c.source, fmt.Sprintf("code=%d", c.want))
		got := r.post(token(tokenA).with("Authorization", c.header), one(t, "call"))
		if got.status != c.want {
			t.Errorf("%s: %+v", name, got)
		}
		if c.want == 401 && (got.Error.Code != "unauthorized" || got.Error.Message != "the request does not prove who sends it") {
			t.Errorf("%s: the answer hints: %+v", name, got.Error)
		}
		if n := r.metric("modeltrail_receive_requests_total", "source="+c.source, fmt.Sprintf("code=%d", c.want)); n != before+1 {
			t.Errorf("%s: not counted for %s", name, c.source)
		}
	}
	r.advance(10 * time.Second)
	if got := r.post(token(tokenB), one(t, "call")); got.status != 401 {
		t.Errorf("expired: %+v", got)
	}
	if n := r.metric("modeltrail_receive_denied_requests_total", "source=b", "reason="+denyExpired); n != 1 {
		t.Errorf("%v expired tokens counted", n)
	}
	if n := r.metric("modeltrail_receive_denied_requests_total", "reason="+denyToken); n != 2 {
		t.Errorf("%v wrong tokens counted", n)
	}
}

func signer(name string, keys ...string) Source {
	s := Source{Name: name}
	for _, k := range keys {
		s.HMAC = append(s.HMAC, Credential{Secret: secret.New(k)})
	}
	return s
}

func signed(name, key string, body []byte, at time.Time) header {
	return header{"Content-Type": MediaJSON, HeaderSource: name, HeaderSignature: Sign(secret.New(key), body, at)}
}

func TestSignature_RightRotatedWrongAndExpiredKeys(t *testing.T) {
	a, b := signer("a", tokenA, tokenA+"-next"), signer("b", tokenB)
	b.HMAC[0].Expires = "2027-01-15T08:00:10Z"
	r := start(t, config(a, b, bearer("no-keys", tokenA+"-token")))
	now := r.clock()
	body := one(t, "call")
	for i, c := range []struct {
		name string
		h    header
		want int
		why  string
	}{
		{"the old key", signed("a", tokenA, body, now), 200, ""},
		{"the new key", signed("a", tokenA+"-next", body, now), 200, ""},
		{"old and new", signed("a", tokenA, body, now.Add(-time.Second)).with(HeaderSignature,
			Sign(secret.New("unknown"), body, now.Add(-time.Second))+","+strings.Split(Sign(secret.New(tokenA), body, now.Add(-time.Second)), ",")[1]), 200, ""},
		{"at the tolerance", signed("b", tokenB, body, now.Add(-5*time.Minute)), 200, ""},
		{"a wrong key", signed("a", tokenB, body, now), 401, denySignature},
		{"of another body", signed("a", tokenA, []byte("{}"), now), 401, denySignature},
		{"of another source", signed("b", tokenA, body, now), 401, denySignature},
		{"of no source", signed("nobody", tokenA, body, now), 401, denySignature},
		{"of a source without keys", signed("no-keys", tokenA+"-token", body, now), 401, denySignature},
		{"too old", signed("a", tokenA, body, now.Add(-5*time.Minute-time.Second)), 401, denyTime},
		{"from the future", signed("a", tokenA, body, now.Add(5*time.Minute+time.Second)), 401, denyTime},
		{"malformed", signed("a", tokenA, body, now).with(HeaderSignature, "t=1,v1=zz"), 401, denyMalformed},
		{"without time", signed("a", tokenA, body, now).with(HeaderSignature, "v1="+strings.Repeat("ab", 32)), 401, denyMalformed},
		{"nothing", header{HeaderSource: "a", "Content-Type": MediaJSON}, 401, denyMissing},
	} {
		before := r.metric("modeltrail_receive_denied_requests_total", "reason="+c.why)
		if got := r.post(c.h, body); got.status != c.want {
			t.Errorf("%d %s: %+v", i, c.name, got)
		}
		if c.why != "" && r.metric("modeltrail_receive_denied_requests_total", "reason="+c.why) != before+1 {
			t.Errorf("%s: not counted as %s", c.name, c.why)
		}
	}
	r.advance(11 * time.Second)
	if got := r.post(signed("b", tokenB, body, r.clock()), body); got.status != 401 {
		t.Errorf("expired: %+v", got)
	}
	if n := r.metric("modeltrail_receive_denied_requests_total", "source=b", "reason="+denyExpired); n != 1 {
		t.Errorf("%v expired keys counted", n)
	}
	if len(r.envelopes) != 4 {
		t.Errorf("%d envelopes; want 4", len(r.envelopes))
	}
}

func TestSignature_CountsOnce_UnlessItsRequestWasNotTaken(t *testing.T) {
	cfg := config(signer("a", tokenA))
	cfg.MaxSignatures = 3
	r := start(t, cfg)
	body := one(t, "call")
	h := signed("a", tokenA, body, r.clock())
	r.fail(fmt.Errorf("away"))
	for range 3 {
		if got := r.post(h, body); got.status != 503 {
			t.Fatalf("outage: %+v", got)
		}
	}
	r.fail(nil)
	if got := r.post(h, body); got.status != 200 {
		t.Fatalf("first: %+v", got)
	}
	if got := r.post(h, body); got.status != 401 {
		t.Errorf("replayed: %+v", got)
	}
	if n := r.metric("modeltrail_receive_denied_requests_total", "source=a", "reason="+denyReplay); n != 1 {
		t.Errorf("%v replays counted", n)
	}
	for i := range 2 {
		r.advance(time.Second)
		if got := r.post(signed("a", tokenA, body, r.clock()), body); got.status != 200 {
			t.Errorf("signature %d: %+v", i, got)
		}
	}
	if got := r.post(signed("a", tokenA, body, r.clock().Add(time.Second)), body); got.status != 429 || got.Error.Limit != "receive.max_signatures" {
		t.Errorf("with a full memory: %+v", got)
	}
	r.advance(5*time.Minute + 2*time.Second) // the first ones are forgotten, and too old to be replayed
	if got := r.post(signed("a", tokenA, body, r.clock()), body); got.status != 200 {
		t.Errorf("after the tolerance: %+v", got)
	}
	if len(r.envelopes) != 4 {
		t.Errorf("%d envelopes; want 4", len(r.envelopes))
	}
}

func TestSignature_FromTheFuture_IsRememberedAsLongAsItIsValid(t *testing.T) {
	r := start(t, config(signer("a", tokenA)))
	body := one(t, "call")
	h := signed("a", tokenA, body, r.clock().Add(5*time.Minute))
	for at, want := range []int{200, 401} {
		if got := r.post(h, body); got.status != want {
			t.Errorf("%d: %+v", at, got)
		}
		r.advance(9 * time.Minute)
	}
}

func TestSource_MaySendItsFormatsOnly(t *testing.T) {
	s := bearer("a", tokenA)
	s.Formats = []string{"kong"}
	k := signer("b", tokenB)
	k.Formats = []string{"kong"}
	r := start(t, config(s, k))
	if got := r.post(token(tokenA), one(t, "call")); got.status != http.StatusForbidden {
		t.Errorf("bearer: %+v", got)
	}
	body := one(t, "call")
	if got := r.post(signed("b", tokenB, body, r.clock()), body); got.status != http.StatusForbidden {
		t.Errorf("signed: %+v", got)
	}
}

func TestFailedLogins_SlowAnAddressDown_WhateverItPresentsThen(t *testing.T) {
	cfg := config(bearer("a", tokenA))
	cfg.FailuresPerMinute = 3
	r := start(t, cfg)
	for i := range 3 {
		if got := r.post(token(fmt.Sprintf("guess-%d", i)), one(t, "call")); got.status != 401 {
			t.Errorf("guess %d: %+v", i, got)
		}
	}
	for _, guess := range []string{"guess-4", tokenA} {
		if got := r.post(token(guess), one(t, "call")); got.status != 429 || got.retryAfter != "20" || got.Error.Limit != "receive.failures_per_minute" {
			t.Errorf("after three failures: %+v", got)
		}
	}
	r.advance(20 * time.Second)
	if got := r.post(token(tokenA), one(t, "call")); got.status != 200 {
		t.Errorf("after the pause: %+v", got)
	}
}

func TestNeighbourhood_IsOneSubscriber(t *testing.T) {
	for a, b := range map[string]string{
		"[2001:db8:1:2::1]:1": "[2001:db8:1:2:ffff::9]:2", "192.0.2.1:5": "[::ffff:192.0.2.1]:6", "[fe80::1%eth0]:1": "[fe80::2%eth1]:1",
	} {
		if neighbourhood(a) != neighbourhood(b) {
			t.Errorf("%s and %s differ", a, b)
		}
	}
	if neighbourhood("192.0.2.1:5") == neighbourhood("192.0.2.2:5") || neighbourhood("[2001:db8:1:2::1]:1") == neighbourhood("[2001:db8:1:3::1]:1") {
		t.Error("neighbours share one count")
	}
}

func TestAttempts_RememberABoundedNumberOfAddresses(t *testing.T) {
	a := newAttempts(2)
	now := time.Now()
	for i := range 3*maxAddresses + 5 {
		a.failed(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&0xff, i&0xff), now)
	}
	if n := len(a.young) + len(a.old); n > 2*maxAddresses {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestWithoutSources_AnybodyMaySend(t *testing.T) {
	r := start(t, config())
	if got := r.post(header{"Content-Type": MediaJSON}, one(t, "call")); got.status != 200 {
		t.Errorf("answer %+v", got)
	}
	if n := r.metric("modeltrail_receive_records_total", "source="+anyone); n != 1 {
		t.Errorf("%v records counted", n)
	}
}
