package redact

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// FuzzBody plants a key of a random class in any text and any shape: it must not survive, valid JSON must stay
// valid, the second redaction must change nothing and nothing may panic.
func FuzzBody(f *testing.F) {
	r := newTest(f)
	f.Add("hello ", " world", uint8(0), uint8(3), uint64(1))
	f.Add("a\n\"b\\", "\u00e9\u200b", uint8(7), uint8(1), uint64(2))
	f.Add("{\"password\":", "}", uint8(30), uint8(9), uint64(3))
	f.Add("data: x\n\n", "-----BEGIN", uint8(41), uint8(40), uint64(4))
	f.Fuzz(func(t *testing.T, before, after string, class, piece uint8, seed uint64) {
		all := canaries(seed)
		c := all[int(class)%len(all)]
		text := before + " " + c.text() + " " + after
		for _, in := range []string{text, `{"a":[` + quoted(text) + `]}`, sse(shapes[int(seed%uint64(len(shapes)-1))], text, 1+int(piece))} {
			out, _, err := r.Body("", []byte(in))
			if err != nil {
				continue // dropped: nothing survives
			}
			again, _, err := r.Body("", out)
			if err != nil || !bytes.Equal(out, again) {
				t.Fatalf("not idempotent (%v)\n in %q\nout %q\n2nd %q", err, in, out, again)
			}
			if json.Valid([]byte(in)) && !json.Valid(out) {
				t.Fatalf("JSON broke\n in %q\nout %q", in, out)
			}
			if strings.Count(in, "\n") != strings.Count(string(out), "\n") && in != text {
				t.Fatalf("frames changed\n in %q\nout %q", in, out)
			}
			if !c.pii && !strings.Contains(c.secret, "\n") && c.before == "" && bytes.Contains(out, []byte(c.secret)) {
				t.Fatalf("%s survives\n in %q\nout %q", c.class, in, out)
			}
		}
		r.String(text)
		r.Query(text)
	})
}

func TestBody_ConcurrentUse_IsSafe(t *testing.T) {
	r := newTest(t)
	all := canaries(4)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 40 {
				c := all[(w*7+i)%len(all)]
				in := sse("openai", "x "+c.text()+" y", 4)
				out, _, err := r.Body("text/event-stream", []byte(in))
				if err != nil || bytes.Equal(out, []byte(in)) {
					t.Errorf("%s: %v", c.class, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestNew_HeapStaysSmall holds the budget of the tap, whose process has 64 MiB in all.
func TestNew_HeapStaysSmall(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	start := heap()
	r, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	built := heap()
	for seed := range uint64(3) {
		for _, c := range canaries(seed) {
			if _, _, err := r.Body("text/plain", []byte("key: "+c.text())); err != nil {
				t.Fatal(err)
			}
		}
	}
	used := heap()
	for _, rule := range r.set.rules {
		if rule.source != "" {
			rule.compile()
		}
	}
	all := heap()
	t.Logf("heap: %d KiB after New, %d KiB after use, %d KiB with every rule compiled", (built-start)>>10, (used-start)>>10, (all-start)>>10)
	if built-start > 2<<20 || all-start > 24<<20 {
		t.Error("the rules take too much memory")
	}
	runtime.KeepAlive(r)
}

func TestNew_EveryRuleCompiles(t *testing.T) {
	r := newTest(t)
	if len(r.set.rules) < 200 {
		t.Fatalf("only %d rules", len(r.set.rules))
	}
	for _, rule := range r.set.rules {
		if rule.source != "" && rule.compile() == nil {
			t.Errorf("%s does not compile", rule.name)
		}
		if rule.source != "" && rule.minLen < minRun && !rule.wide && rule.name != "telegram-bot-token" {
			t.Logf("%s matches %d bytes", rule.name, rule.minLen)
		}
	}
}
