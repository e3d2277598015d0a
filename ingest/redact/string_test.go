package redact

import (
	"net/url"
	"strings"
	"testing"
)

func TestString_HeaderPathAndQuery(t *testing.T) {
	r := newTest(t)
	for seed := range uint64(5) {
		for _, c := range canaries(seed) {
			if strings.Contains(c.secret, "\n") {
				continue
			}
			for _, in := range []string{c.text(), "agent/1.0 " + c.text(), "/v1/x/" + url.PathEscape(c.text()), "/v1/x?y=" + url.QueryEscape(c.text())} {
				out, counts := r.String(in)
				gone(t, c, in, out+" [REDACTED:"[:0])
				if len(counts) == 0 {
					t.Errorf("%s: no counts for %s", c.class, in)
				}
				if unescaped, err := url.QueryUnescape(out); err == nil {
					gone(t, c, in, unescaped)
				}
			}
			q := r.Query("alt=sse&note=" + url.QueryEscape(c.text()) + "&n=1")
			unescaped, _ := url.QueryUnescape(q)
			gone(t, c, "query "+c.text(), unescaped)
			if !strings.HasPrefix(q, "alt=sse&note=") || !strings.HasSuffix(q, "&n=1") {
				t.Errorf("%s: names are gone: %s", c.class, q)
			}
		}
	}
	for in, want := range map[string]string{
		"alt=sse&key=abc":                        "alt=sse&key=REDACTED",
		"API_KEY=1&Access_Token=2&page=3":        "API_KEY=REDACTED&Access_Token=REDACTED&page=3",
		"X-Amz-Signature=ab&X-Amz-Date=20260101": "X-Amz-Signature=REDACTED&X-Amz-Date=REDACTED",
		"sig=a%2Bb&sv=2024":                      "sig=REDACTED&sv=2024",
		"max_tokens=12&code=&q=hello+world":      "max_tokens=12&code=&q=hello+world",
		"api%5Fkey=abc&user%5Bpassword%5D=x":     "api%5Fkey=REDACTED&user%5Bpassword%5D=REDACTED",
		"mail=ann%40mail.example&x":              "mail=[REDACTED:email]&x",
		"":                                       "",
	} {
		if got := r.Query(in); got != want {
			t.Errorf("%s\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestBody_Form_KeyLikeFieldsAreRedacted(t *testing.T) {
	r := newTest(t)
	got := body(t, r, "application/x-www-form-urlencoded", "grant_type=client_credentials&client_secret=abc&scope=x&mail=ann%40mail.example")
	want := "grant_type=client_credentials&client_secret=[REDACTED:form-value]&scope=x&mail=[REDACTED:email]"
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestBody_NotText_IsRefused(t *testing.T) {
	r := newTest(t)
	for _, in := range [][]byte{{0xff, 0xfe, 'a', 0}, []byte("a\x00b"), {0x1f, 0x8b, 8, 0, 0, 1}, []byte("{\"a\":\"\xc3(\"}")} {
		if out, _, err := r.Body("application/json", in); err == nil || out != nil {
			t.Errorf("%q was accepted", in)
		}
	}
	if _, _, err := r.Body("", []byte("caf\xc3")); err != nil {
		t.Errorf("a cut character was refused: %v", err)
	}
	small, _ := New(Config{Secrets: true, MaxBodyBytes: 10})
	if _, _, err := small.Body("", []byte("0123456789a")); err == nil {
		t.Error("too long a body was accepted")
	}
}

func TestBody_CleanBody_IsReturnedItself(t *testing.T) {
	r := newTest(t)
	in := []byte(`{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}`)
	out, counts, err := r.Body("application/json", in)
	if err != nil || counts != nil || &out[0] != &in[0] {
		t.Error("a clean body was copied")
	}
}

func TestConfig_SwitchesWork(t *testing.T) {
	key := "sk-ant-" + strings.Repeat("aB3", 9)
	in := []byte("mail ann@mail.example key " + key + " card 4111111111111111")
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, string(in)},
		{Config{Secrets: true}, "mail ann@mail.example key [REDACTED:anthropic-api-key] card 4111111111111111"},
		{Config{PII: []string{PIIEmail}}, "mail [REDACTED:email] key " + key + " card 4111111111111111"},
		{Config{Secrets: true, PII: []string{PIICard, PIIEmail}, Allow: []string{"ann@mail.example"}}, "mail ann@mail.example key [REDACTED:anthropic-api-key] card [REDACTED:card]"},
	} {
		r, err := New(tc.cfg)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := r.Body("text/plain", in)
		if err != nil || string(out) != tc.want {
			t.Errorf("%+v: %s %v", tc.cfg, out, err)
		}
	}
	if (Config{PII: []string{"shoe"}, MaxBodyBytes: -1, Allow: []string{"a"}}).Validate() == nil {
		t.Error("a wrong config was accepted")
	}
}

func TestBody_CountsByRule(t *testing.T) {
	r := newTest(t)
	_, counts, err := r.Body("", []byte("a@mail.example b@mail.example 4111 1111 1111 1111"))
	if err != nil || len(counts) != 2 || counts[0].Rule != "card" || counts[0].Count != 1 || counts[1].Rule != "email" || counts[1].Count != 2 {
		t.Errorf("%v %v", counts, err)
	}
}
