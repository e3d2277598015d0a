package redact

import (
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
	n      int                     // of the rule
	wide   bool                    // matters to tokens behind it
	asks   bool                    // context: something must be assigned to it
	shaped int                     // token characters that must stand from the keyword on, 0 = unknown
	quick  func(token []byte) bool // a first test of what begins with the keyword, nil = none
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
			if word == vaultPrefix && r.name == ruleVault {
				k.quick = oldVaultToken
			}
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

// grams is a set of three-byte strings, blind to case, as a bit table that may say yes to a few others.
type grams struct {
	bits [1 << (gramBits - 5)]uint32
}

const gramBits = 15

// gramHash hashes the low three bytes of v, which has folds set.
func gramHash(v uint32) uint32 { return (v << 8) * 0x9E3779B1 >> (32 - gramBits) }

func (g *grams) add(v uint32) {
	h := gramHash(v | folds&0xFFFFFFFF)
	g.bits[h>>5] |= 1 << (h & 31)
}

func (g *grams) has(v uint32) bool {
	h := gramHash(v)
	return g.bits[h>>5&(1<<(gramBits-5)-1)]&(1<<(h&31)) != 0
}
