package redact

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"
)

// reference is the scanner without anything that makes it fast: it looks at every byte, tries every keyword of every
// rule at every place of every long token and reads the groups of every number. What it judges with is the same.
type reference struct {
	*scanner
	keys []gateKey
}

func newReference(r *Redactor) *reference {
	ref := &reference{scanner: newScanner(r)}
	for id, word := range r.set.words {
		for _, n := range r.set.byKey[id] {
			rule := r.set.rules[n]
			asks := rule.context && !slices.Contains(rule.inside, word)
			ref.keys = append(ref.keys, gateKey{word: word, rule: rule, n: int(n), asks: asks})
		}
	}
	return ref
}

func (ref *reference) scan(text []byte) []match {
	sc := ref.scanner
	sc.text, sc.found = text, nil
	for s := 0; s < len(text); s++ {
		e := s
		for e < len(text) && is(text[e], classToken) {
			e++
		}
		if e-s >= minRun {
			sc.phase = phaseRun
			ref.token(s, e)
		}
		s = max(s, e)
	}
	for i := range text {
		sc.phase = phaseWord
		for n := range announcers {
			a := &announcers[n]
			if hasFold(text, i, a.word) && (len(a.word) >= 5 || sc.parted(i, len(a.word))) {
				sc.credential(a, i)
			}
		}
		if sc.phase = phaseAt; text[i] == '@' {
			sc.at(i)
		}
	}
	for s := 0; s < len(text); s++ {
		e := s
		for e < len(text) && is(text[e], classNumber) {
			e++
		}
		sc.phase = phaseNumber
		ref.number(s, e)
		s = max(s, e)
	}
	return sc.found
}

func (ref *reference) token(s, e int) {
	sc := ref.scanner
	from := s
	if (assignedTo(sc.text, s, sc.reach(12)) || bytes.IndexByte(sc.text[s:e], '=') >= 0) && !wordy(sc.text[s:e]) {
		from = max(0, s-sc.reach(lookback))
	}
	var hits []hit
	for i := from; i < e; i++ {
		for n := range ref.keys {
			if k := &ref.keys[n]; i+len(k.word) <= e && hasFold(sc.text, i, k.word) {
				hits = append(hits, hit{i, k})
			}
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.end(), b.end()), cmp.Compare(a.at, b.at), cmp.Compare(a.key.n, b.key.n))
	})
	for _, h := range hits {
		clear(sc.done)
		sc.keyword(h.key, h.at, s, e)
	}
	sc.base64(s, e)
}

// number tries every kind at every place of the run [s,e).
func (ref *reference) number(s, e int) {
	sc := ref.scanner
	digits := 0
	for i := s; i < e; i++ {
		if is(sc.text[i], classDigit) {
			digits++
		}
	}
	if digits < minDigits {
		return
	}
	for i := max(s, sc.ibans(s)); i < e; i++ {
		b := sc.text[i]
		if is(b, classDigit) && i > s && is(sc.text[i-1], classDigit) || !is(b, classDigit) && b != '+' && b != '(' {
			continue
		}
		if end := sc.cardAt(i); is(b, classDigit) && end > 0 {
			sc.add(i, end, PIICard)
			i = end - 1
		} else if end := ref.phone(i); end > 0 {
			sc.add(i, end, PIIPhone)
			i = end - 1
		}
	}
}

func (ref *reference) phone(i int) int {
	sc := ref.scanner
	before := sc.prev(i)
	if is(before, classWord) || (before == '.' || before == '-' || before == '+') && isAlnum(sc.prev(i-1)) || (before == '/' || before == ':') && is(sc.prev(i-1), classDigit) {
		return 0
	}
	if sc.text[i] == '+' {
		return sc.international(i)
	}
	g := sc.groups(i)
	if g.n == 0 || g.total < minDigits || g.n == 2 && g.sep[1] == '.' && g.first[0] != '0' || before == ' ' && g.n > 1 && g.sep[1] == ' ' && is(sc.prev(i-1), classDigit) {
		return 0
	}
	if end := northAmerican(&g, sc.text[i] == '('); end > 0 && sc.phoneEnds(end) {
		return end
	}
	if end := trunkZero(&g); end > 0 && sc.phoneEnds(end) {
		return end
	}
	last := g.end[g.n-1]
	if g.total > 15 || g.date() || !sc.phoneEnds(last) {
		return 0
	}
	for k, left := i-1, 24; k >= 0 && left > 0 && sc.text[k] != '\n'; k, left = k-1, left-1 {
		if sc.probe && sc.text[k] == '\\' {
			left++
		}
		for _, w := range slices.Concat(phoneWords[:]...) {
			if hasFold(sc.text[:i], k, w) && (k == 0 || !isAlnum(sc.prev(k))) {
				return last
			}
		}
	}
	return 0
}

// outline is what a scan says, in order and without repetitions. A finding that begins within another of its rule is left
// out: the reference asks a rule again for every keyword, such as eyJ in the middle of a JSON web token.
func outline(found []match) []string {
	var out []string
	for _, m := range found {
		if slices.ContainsFunc(found, func(o match) bool {
			return o.rule == m.rule && (o.s < m.s && m.s < o.e || o.s == m.s && m.e < o.e)
		}) {
			continue
		}
		out = append(out, fmt.Sprintf("%06d-%06d %s", m.s, m.e, m.rule))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// agree compares the scanner with the reference on a text and on what it says with its escapes resolved. A text that
// is not suspect with its escapes in it must hold nothing when they are resolved either, down to the last layer.
func agree(t *testing.T, sc *scanner, ref *reference, text []byte) {
	t.Helper()
	clean := -1
	for depth := range maxLayers {
		got, want := outline(sc.scan(text)), outline(ref.scan(text))
		if !slices.Equal(got, want) {
			t.Fatalf("%q\n got %q\nwant %q", text, got, want)
		}
		if clean >= 0 && len(want) > 0 {
			t.Fatalf("not suspect in layer %d, in layer %d: %q %q", clean, depth, text, want)
		}
		if whole, odd := inspect(text); clean < 0 && whole && !odd && harmless(text) && !sc.suspect(text, false) {
			clean = depth
		}
		var v view
		if v.decode(text, 0, backslashes); bytes.Equal(v.buf, text) {
			return
		}
		text = v.buf
	}
}

func TestScan_AgreesWithReference(t *testing.T) {
	r := newTest(t)
	sc, ref := newScanner(r), newReference(r)
	w := newWriter(t, r, 3)
	for range 1500 {
		_, body := w.body()
		agree(t, sc, ref, []byte(body))
		agree(t, sc, ref, []byte(w.text()))
	}
	for _, line := range cleanLines(t) {
		agree(t, sc, ref, []byte(line))
		agree(t, sc, ref, []byte(quoted("x\n"+line)))
	}
}

// FuzzScan writes texts from a seed around a given one.
func FuzzScan(f *testing.F) {
	r := newTest(f)
	sc, ref, w := newScanner(r), newReference(r), newWriter(f, r, 0)
	for seed := range uint64(8) {
		f.Add("token = ", seed)
	}
	f.Add("tel \\n0171 2345678 \\\"api_key\\\":\\\"", uint64(9))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		w.r = rand.New(rand.NewPCG(seed, 1))
		if !utf8.ValidString(text) || len(text) > 4096 {
			return
		}
		agree(t, sc, ref, []byte(w.text()+text+w.text()))
	})
}
