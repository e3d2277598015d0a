package redact

import (
	"bytes"
	"math/bits"
	"slices"
)

// match is a finding in the text under scan.
type match struct {
	s, e  int
	rule  string
	phase uint8
}

// Phases of a scan, in the order in which their findings count where two are equal.
const (
	phaseRun = iota
	phaseWord
	phaseNumber
	phaseAt
)

// examined says up to where the expression of a rule ran for the token that ends at token. For another token it may find
// something else: it is tried up to the end of the token too.
type examined struct{ token, end int }

// scanner is the working memory of one redaction. It is not safe for concurrent use; Redactor pools it.
type scanner struct {
	r     *Redactor
	text  []byte
	found []match
	// probe only asks whether anything might be found: escapes are still in the text, so expressions that look
	// across them are not run and a keyword before an assigned long token is enough to answer yes.
	probe bool
	done  []examined // by rule
	dirty bool       // done holds something

	phase uint8
	gate  gateState
	hits  []hit

	quiet  quietTokens
	scans  uint32
	spoken uint8 // of the number at hand
	sent   bool  // the text under probe is JSON as it came

	layers  [maxLayers]view
	cuts    []cut
	pieces  []piece
	decoded []byte
	stream  stream
}

// Bounds of what is looked at around a keyword.
const (
	before   = 128  // bytes before a keyword that stands inside a token
	beyond   = 2048 // bytes after the keyword
	around   = 200  // bytes after the token, for rules that go beyond it
	lookback = 72   // bytes before a token that can hold "keyword = "
	escapes  = 40   // bytes by which escapes can lengthen such a distance
	slack    = 6    // bytes of a value that valueAfter may have passed
)

// scan finds everything in text. The result is valid until the next scan.
func (sc *scanner) scan(text []byte) []match {
	sc.text, sc.found = text, sc.found[:0]
	sc.gate.restart(0)
	if sc.scans++; sc.scans == 0 {
		sc.quiet = quietTokens{} // after four thousand million scans
	}
	if sc.dirty {
		clear(sc.done)
		sc.dirty = false
	}
	sc.look(text)
	if sc.r.email || sc.r.cfg.Secrets {
		sc.phase = phaseAt
		for i := bytes.IndexByte(text, '@'); i >= 0; {
			sc.at(i)
			next := bytes.IndexByte(text[i+1:], '@')
			if next < 0 {
				break
			}
			i += 1 + next
		}
	}
	if len(sc.found) > 1 {
		slices.SortStableFunc(sc.found, func(a, b match) int { return int(a.phase) - int(b.phase) })
	}
	return sc.found
}

// look finds written numbers, long tokens and announcing words, one block of the text after the other. Behind the last
// block nothing is marked, so every run ends.
func (sc *scanner) look(text []byte) {
	var b, before block
	i, numbers, tokens := 0, none, none
	number := func(s, e int) { sc.number(&b, i, s, e) }
	for ; i <= len(text); i += blockSize {
		before = b
		blockAt(text, i, &b)
		if sc.r.numbers {
			sc.phase = phaseNumber
			numbers = numbers.runs(b[markNumber], i, minDigits, number)
		}
		if sc.r.cfg.Secrets {
			sc.phase = phaseRun
			tokens = tokens.runs(b[markToken], i, minRun, sc.run)
			sc.phase = phaseWord
			for m := b.words(&before); m != 0; m &= m - 1 {
				sc.word(i + bits.TrailingZeros64(m) + 1 - seenBytes)
			}
		}
	}
}

// add records a finding unless it is allowed or was put there by a redaction.
func (sc *scanner) add(s, e int, rule string) {
	if s >= e || sc.r.disabled[rule] {
		return
	}
	secret := sc.text[s:e]
	for _, allowed := range sc.r.cfg.Allow {
		if string(secret) == allowed {
			return
		}
	}
	if bytes.Contains(secret, []byte("REDACTED")) {
		return
	}
	sc.found = append(sc.found, match{s, e, rule, sc.phase})
}

// prev is the character before i as a reader sees it: the letter of an escape such as \n is a space.
func (sc *scanner) prev(i int) byte {
	if i <= 0 {
		return ' '
	}
	if i >= 2 && sc.text[i-2] == '\\' && bytes.IndexByte([]byte("nrtbf"), sc.text[i-1]) >= 0 {
		return ' '
	}
	return sc.text[i-1]
}

// reach is n bytes of what a text says; where its escapes are not resolved they may take more of it.
func (sc *scanner) reach(n int) int {
	if sc.probe {
		return n + escapes
	}
	return n
}

// follow is the character at i, or a space at the end.
func (sc *scanner) follow(i int) byte {
	if i >= len(sc.text) {
		return ' '
	}
	return sc.text[i]
}

// reset prepares a scanner for the next body and drops memory that one large body left behind.
func (sc *scanner) reset() {
	const keep = 512 << 10
	for i := range sc.layers {
		if cap(sc.layers[i].buf) > keep {
			sc.layers[i] = view{}
		}
	}
	sc.text, sc.probe = nil, false
	sc.cuts = sc.cuts[:0]
	sc.stream.reset(keep)
}

func newScanner(r *Redactor) *scanner {
	return &scanner{r: r, done: make([]examined, len(r.set.rules)), found: slices.Grow([]match(nil), 16)}
}
