package redact

import (
	"bytes"
	"cmp"
	"regexp/syntax"
	"slices"
	"strings"
)

// gate finds the keywords of all rules in long tokens and what stands before them, and only those that can matter: it
// looks up the first three bytes of every keyword, as its rules write it, and judges the few that are there by what
// is cheap to know (what stands before, what is left of the token, whether anything is assigned).
type gate struct {
	bits  [1 << (gateBits - 5)]uint32
	wide  grams                   // first and second three bytes of the keywords that matter to tokens behind them
	from  [1<<listBits + 1]uint16 // by hash: where its keys begin in lists
	lists []gateEntry
	keys  []gateKey
}

const (
	gateBits = 16
	listBits = 12
)

// gateEntry is a key and its first three bytes with folds set, or two.
type gateEntry struct {
	head, mask uint32
	key        uint16
}

// gateKey is a keyword for one of its rules.
type gateKey struct {
	word   string // lower case
	rule   *rule
	n      int  // of the rule
	wide   bool // matters to tokens behind it
	asks   bool // context: something must be assigned to it
	shaped int  // token characters that must stand from the keyword on, 0 = unknown
}

// hit is a keyword at a position of the text.
type hit struct {
	at  int
	key *gateKey
}

func (h hit) end() int { return h.at + len(h.key.word) }

func gateHash(v uint32) uint32 { return (v << 8) * 0x9E3779B1 >> (32 - gateBits) }

func newGate(set *ruleSet) *gate {
	g := &gate{}
	lists := make([][]uint16, 1<<listBits)
	for id, word := range set.words {
		for _, n := range set.byKey[id] {
			r := set.rules[n]
			k := gateKey{word: word, rule: r, n: int(n), wide: r.wide || r.source == ""}
			inside := slices.Contains(r.inside, word)
			switch {
			case r.context && !inside:
				k.asks = true
			case r.context:
				k.shaped = shapeOf(r, word)
			}
			g.keys = append(g.keys, k)
			if k.wide && len(word) > 3 {
				g.wide.add(uint32(load([]byte(word), 0)))
				g.wide.add(uint32(load([]byte(word), 1)))
			}
			if r.starts == nil || k.asks {
				g.enter(lists, uint16(len(g.keys)-1), []set3{lettersOf(word, true)})
				continue
			}
			var ways []set3
			for _, l := range r.starts {
				if l.meets(word) {
					both := lettersOf(word, true)
					for i, s := range lettersOf(l.text, l.fold) {
						if s != nil {
							both[i] = s
						}
					}
					ways = append(ways, both)
				}
			}
			g.enter(lists, uint16(len(g.keys)-1), ways)
		}
	}
	for h, list := range lists {
		g.from[h] = uint16(len(g.lists))
		for _, key := range list {
			word := []byte(g.keys[key].word)
			mask := uint32(1<<(8*min(len(word), 3)) - 1)
			g.lists = append(g.lists, gateEntry{uint32(load(word, 0)|folds) & mask, mask, key})
		}
	}
	g.from[len(lists)] = uint16(len(g.lists))
	return g
}

// keysAt are the keys that may begin with the three bytes of v, which are entered.
func (g *gate) keysAt(v uint32) []gateEntry {
	h := gateHash(v) & (1<<listBits - 1)
	return g.lists[g.from[h]:g.from[h+1]]
}

// set3 is what may stand at three places; nil is any byte.
type set3 [3][]byte

// lettersOf are the first three bytes of a text.
func lettersOf(text string, fold bool) (s set3) {
	for i := range min(3, len(text)) {
		s[i] = []byte{text[i]}
		if fold && isLetter(text[i]) {
			s[i] = []byte{text[i] | 0x20, text[i] &^ 0x20}
		}
	}
	return s
}

func isLetter(b byte) bool { return is(b, classUpper|classLower) }

// enter adds a key under all its beginnings.
func (g *gate) enter(lists [][]uint16, key uint16, ways []set3) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, way := range ways {
		for i := range way {
			if way[i] == nil {
				way[i] = every
			}
		}
		for _, a := range way[0] {
			for _, b := range way[1] {
				for _, c := range way[2] {
					h := gateHash(uint32(a) | uint32(b)<<8 | uint32(c)<<16)
					g.bits[h>>5] |= 1 << (h & 31)
					list := &lists[h&(1<<listBits-1)]
					if !slices.Contains(*list, key) {
						*list = append(*list, key)
					}
				}
			}
		}
	}
}

// shapeOf returns how many token characters stand from word on in every secret of a context rule, 0 if unknown.
func shapeOf(r *rule, word string) int {
	tree, err := syntax.Parse(r.source, syntax.Perl)
	if err != nil || tree.MaxCap() < 1 {
		return 0
	}
	secret := captured(tree, 1)
	for group := 2; group <= tree.MaxCap(); group++ { // groups within the first only
		if captured(secret, group) == nil {
			return 0
		}
	}
	starts, _ := prefixes(secret)
	offset := 0
	for _, l := range starts {
		at := strings.Index(strings.ToLower(l.text), word)
		if at < 0 {
			return 0
		}
		offset = max(offset, at)
	}
	if !tokensOnly(secret) {
		return 0
	}
	shortest, _ := lengths(secret)
	return shortest - offset
}

// tokensOnly says that all that re matches is token characters.
func tokensOnly(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return !slices.ContainsFunc(re.Rune, func(r rune) bool { return r > 127 || !is(byte(r), classToken) })
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for c := re.Rune[i]; c <= re.Rune[i+1]; c++ {
				if c > 127 && c != 'ſ' && c != 'K' || c <= 127 && !is(byte(c), classToken) { // those two fold to letters
					return false
				}
			}
		}
		return true
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	}
	return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !tokensOnly(sub) })
}

// next returns the first position of text[i:e] where a keyword may begin, or e.
func (g *gate) next(text []byte, i, e int) int {
	for ; i < e; i += 6 {
		w := load(text, i)
		switch {
		case g.has(uint32(w)):
			return i
		case g.has(uint32(w >> 8)):
			return min(i+1, e)
		case g.has(uint32(w >> 16)):
			return min(i+2, e)
		case g.has(uint32(w >> 24)):
			return min(i+3, e)
		case g.has(uint32(w >> 32)):
			return min(i+4, e)
		case g.has(uint32(w >> 40)):
			return min(i+5, e)
		}
	}
	return e
}

func (g *gate) has(v uint32) bool {
	h := gateHash(v)
	return g.bits[h>>5]&(1<<(h&31)) != 0
}

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
	if from < st.from || from > st.to {
		st.restart(from)
	}
	sc.hits = sc.hits[:0]
	if st.to < s {
		sc.gatherBefore(st.to, s, e)
		st.to = s
	}
	if !quiet {
		sc.gather(st.to, s, e)
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

// gather finds the keywords that begin in text[i:e] and may matter to the token [s,e) or to later ones.
func (sc *scanner) gather(i, s, e int) {
	g := sc.r.set.gate
	for i = g.next(sc.text, i, e); i < e; i = g.next(sc.text, i+1, e) {
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
	for i = g.next(sc.text, last, s); i < s; i = g.next(sc.text, i+1, s) {
		sc.keysAt(i, s, e)
	}
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
		return r.beginsAt(sc, i) && r.lead.at(sc.text, i)
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
