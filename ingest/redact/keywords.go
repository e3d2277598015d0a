package redact

import (
	"bytes"
	"cmp"
	"slices"
)

// gateState is what the gate has seen of a text: all of [from,to), where wide are the keywords that matter to tokens
// behind them.
type gateState struct {
	from, to int
	last     int // behind the first byte of the last keyword, whether it matters or not
	wide     []hit
}

func (st *gateState) restart(from int) { st.from, st.to, st.last, st.wide = from, from, 0, st.wide[:0] }

// quietToken is a token in which no keyword stands and which is nothing in base64.
type quietToken struct {
	s, e  int // in the text
	scan  uint32
	wordy uint8
}

// Answers that are remembered.
const (
	unknown = iota
	yes
	no
)

// quietTokens remembers where quiet tokens stood: identifiers and the ids of a stream come again and again.
type quietTokens [256]quietToken

// find returns the place of the token [s,e) and whether a quiet one with the same neighbours is there, from the scan
// of this number.
func (q *quietTokens) find(text []byte, s, e int, scan uint32) (o *quietToken, ok bool) {
	const left, right = 2, 8 // the boundary of a keyword is looked at, and one may end behind the token
	h := (load(text, max(s-left, 0)) ^ load(text, e+left-8)) * 0x9E3779B97F4A7C15 >> 32
	o = &q[(h^uint64(e-s))%uint64(len(q))]
	return o, o.scan == scan && o.e-o.s == e-s && o.s >= left && s >= left && e+right <= len(text) &&
		bytes.Equal(text[o.s-left:o.e+right], text[s-left:e+right])
}

// keywords judges the keywords of text[from:e], each for the token [s,e), in the order in which they end. quiet says
// that none begins in the token; it returns whether none does.
func (sc *scanner) keywords(from, s, e int, quiet bool) bool {
	st := &sc.gate
	again := from < st.from // there may be long tokens
	if again || from > st.to {
		st.restart(from)
	}
	sc.hits = sc.hits[:0]
	if st.to < s {
		if again {
			sc.gather(st.to, s, s, e)
		} else {
			sc.gatherBefore(st.to, s, e)
		}
		st.to = s
	}
	if !quiet {
		sc.gather(st.to, e, s, e)
	}
	st.to = e
	for len(st.wide) > 0 && st.wide[0].at < s-lookback-escapes {
		st.wide = slices.Delete(st.wide, 0, 1)
	}
	for _, h := range st.wide {
		if h.at >= from && h.end() <= e {
			sc.hits = append(sc.hits, h)
		}
	}
	if len(sc.hits) > 1 {
		slices.SortStableFunc(sc.hits, func(a, b hit) int {
			return cmp.Or(cmp.Compare(a.end(), b.end()), cmp.Compare(a.at, b.at), cmp.Compare(a.key.n, b.key.n))
		})
	}
	for _, h := range sc.hits {
		sc.keyword(h.key, h.at, s, e)
	}
	return st.last <= s
}

// gather finds the keywords that begin in text[i:until] and may matter to the token [s,e) or to later ones.
func (sc *scanner) gather(i, until, s, e int) {
	g := sc.r.set.gate
	for i = g.next(sc.text, i, until); i < until; i = g.next(sc.text, i+1, until) {
		sc.keysAt(i, s, e)
	}
}

// gatherBefore finds the keywords that begin in text[i:s], where no long token is, and may matter to the token [s,e)
// or to later ones. Of those that matter to later ones it looks for words of four letters at every second place: the
// one that is shorter, of JSON web tokens, stands in a long token or is none. Others reach into the token only if
// they begin in the last bytes.
func (sc *scanner) gatherBefore(i, s, e int) {
	g := sc.r.set.gate
	last := max(i, s-straddle)
	for k := i; k <= last; k += 2 {
		v := uint32(load(sc.text, k)) | folds&0xFFFFFFFF
		if !g.wide.has(v) {
			continue
		}
		if k > i {
			sc.keysAt(k-1, s, e)
		}
		if k < last {
			sc.keysAt(k, s, e)
		}
	}
	sc.gather(last, s, s, e)
}

// straddle is more than the bytes of a keyword that are not of a token, such as the colon of a bot token.
const straddle = 8

// keysAt takes note of the keywords at i.
func (sc *scanner) keysAt(i, s, e int) {
	st := &sc.gate
	v := uint32(load(sc.text, i))
	for _, entry := range sc.r.set.gate.keysAt(v) {
		if (v|folds&0xFFFFFFFF)&entry.mask != entry.head {
			continue
		}
		k := &sc.r.set.gate.keys[entry.key]
		end := i + len(k.word)
		switch {
		case !k.wide && (end <= s || end > e), !sc.matters(k, i, e):
		case k.wide:
			st.wide = append(st.wide, hit{i, k})
		default:
			sc.hits = append(sc.hits, hit{i, k})
		}
	}
}

// matters judges the keyword of k at position i, for a token that ends at e if it is not wide.
func (sc *scanner) matters(k *gateKey, i, e int) bool {
	r := k.rule
	if !hasFold(sc.text, i, k.word) {
		return false
	}
	sc.gate.last = i + 1
	if r.starts != nil && !r.wide && e-i < r.minLen {
		return false
	}
	switch {
	case r.source == "":
		before := len(sc.found)
		sc.assignment(i+len(k.word), false)
		found := len(sc.found) > before
		sc.found = sc.found[:before]
		return found
	case k.asks:
		v := valueAfter(sc.text, i+len(k.word), sc.reach(12))
		return v >= 0 && sc.valueReaches(v, r.minLen-slack)
	case k.shaped > 0:
		return i+k.shaped <= len(sc.text) && all(sc.text[i:i+k.shaped], classToken)
	case r.starts != nil:
		return (k.quick == nil || k.quick(sc.text[i:])) && r.beginsAt(sc, i) && r.lead.at(sc.text, i)
	}
	return true
}

// valueReaches says that n characters of a value stand from v on.
func (sc *scanner) valueReaches(v, n int) bool {
	if v+n > len(sc.text) {
		return false
	}
	for _, b := range sc.text[v : v+max(n, 0)] {
		if !is(b, classToken) && b != ':' {
			return false
		}
	}
	return true
}

// all says that every byte of s is of a class.
func all(s []byte, class uint16) bool {
	for _, b := range s {
		if !is(b, class) {
			return false
		}
	}
	return true
}
