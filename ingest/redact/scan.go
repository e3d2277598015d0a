package redact

import (
	"bytes"
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

// scanner is the working memory of one redaction. It is not safe for concurrent use; Redactor pools it.
type scanner struct {
	r     *Redactor
	text  []byte
	found []match
	// probe only asks whether anything might be found: escapes are still in the text, so expressions that look
	// across them are not run and a keyword before an assigned long token is enough to answer yes.
	probe bool
	done  []int // per rule: end of what was examined in this text
	dirty bool  // done holds something

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

// look finds long tokens, announcing words and written numbers in one pass.
func (sc *scanner) look(text []byte) {
	secrets, numbers := sc.r.cfg.Secrets, sc.r.phone || sc.r.card || sc.r.iban
	words := sc.r.words
	token, number := 0, 0 // ends of what is judged
	for i := words.skip(text, 0, token, number); i < len(text); i = words.skip(text, i+stride, token, number) {
		w := load(text, i)
		if numbers && i >= number && mayNumber(w) && allNumbers(w) {
			sc.phase = phaseNumber
			if i < number+blockSize/2 && i+blockSize <= len(text) {
				number = sc.numbers(number, i)
			} else {
				s, e := extent(text, number, i, classNumber)
				if number = e; e-s >= minDigits {
					sc.number(s, e)
				}
			}
		}
		if !secrets {
			continue
		}
		if i >= token && mayToken(w) && allTokens(w) {
			s, e := extent(text, token, i, classToken)
			if token = e; e-s >= minRun {
				sc.phase = phaseRun
				sc.run(s, e)
			}
		}
		sc.phase = phaseWord
		if fold := w | folds; words.has(uint32(fold)) {
			sc.word(i)
		}
		if fold := w | folds; words.has(uint32(fold >> 24)) {
			sc.word(i + 3)
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

// run judges a long token: by the keywords in it and, where something is assigned, before it.
func (sc *scanner) run(s, e int) {
	token := sc.text[s:e]
	seen, quiet := sc.quiet.find(sc.text, s, e, sc.scans)
	like := uint8(unknown)
	if quiet {
		like = seen.wordy
	}
	from := s
	if assignedTo(sc.text, s, sc.reach(12)) || bytes.IndexByte(token, '=') >= 0 {
		if like == unknown {
			if like = no; wordy(token) {
				like = yes
			}
		}
		if like == no {
			from = max(0, s-sc.reach(lookback))
		}
	}
	found := len(sc.found)
	none := sc.keywords(from, s, e, quiet)
	if quiet {
		seen.wordy = like
		return
	}
	if sc.base64(s, e); none && len(sc.found) == found {
		*seen = quietToken{s, e, sc.scans, like}
	}
}

// wordy says that a token is an identifier or a phrase: letters only, in words parted by punctuation or humps.
// Generated tokens have digits or change case at every second letter.
func wordy(token []byte) bool {
	const letters = classUpper | classLower
	parts, turns, last := 0, 0, uint16(0)
	for _, b := range token {
		class := byteClass[b] & (letters | classDigit)
		switch {
		case class == classDigit:
			return false
		case class == 0:
			parts++
		case class|last == letters:
			turns++
		}
		last = class
	}
	return parts > 0 && turns == 0 || turns > 0 && turns*8 <= len(token)*3
}

// humped says that a token changes between small letters, capitals and digits as names do, not as random text does.
func humped(token []byte) bool { return turnsOf(token)*8 <= len(token)*3 }

// turnsOf counts the changes between small letters, capitals and digits that follow each other directly.
func turnsOf(token []byte) (turns int) {
	last := uint16(0)
	for _, b := range token {
		class := byteClass[b] & (classDigit | classUpper | classLower)
		if last != 0 && class != 0 && class != last {
			turns++
		}
		last = class
	}
	return turns
}

// assignedTo says whether something is assigned to the token at s: an assignment sign, a comma or the word "is"
// stands in the reach bytes before it.
func assignedTo(text []byte, s, reach int) bool {
	for i, n := s-1, 0; i >= 0 && n < reach; i, n = i-1, n+1 {
		switch b := text[i]; b {
		case ' ', '\t', '\n', '\r', '"', '\'', '`', '\\', '[', '{', '(':
			continue
		case '=', ':', '>', ',', '|':
			return true
		default:
			if i > 0 && text[i-1] == '\\' { // \n and kin before the token
				continue
			}
			return i >= 2 && n > 0 && b|0x20 == 's' && text[i-1]|0x20 == 'i' && text[i-2] == ' '
		}
	}
	return false
}

// keyword judges a keyword at position at, belonging to the token [s,e).
func (sc *scanner) keyword(k *gateKey, at, s, e int) {
	r, size := k.rule, len(k.word)
	switch {
	case r.source == "":
		sc.assignment(at+size, false)
	case k.asks:
		sc.contextRule(r, k.n, at, size, e)
	case at < sc.done[k.n], r.starts != nil && !r.wide && e-at < r.minLen, r.starts != nil && !r.beginsAt(sc, at):
	case !r.wide && at+size <= s:
		// the keyword ended before the token: it is context, and this rule wants it inside
	case sc.probe && (r.wide || r.starts == nil):
		sc.found = append(sc.found, match{at, e, r.name, sc.phase})
	default:
		sc.tokenRule(r, k.n, at, e)
	}
}

// tokenRule runs a rule whose keyword stands in the secret or near it.
func (sc *scanner) tokenRule(r *rule, n, at, e int) {
	lo, hi := at, min(e, at+max(r.maxLen, beyond))
	if r.starts == nil {
		lo = max(0, at-before)
	}
	if r.wide {
		hi = min(len(sc.text), e+around)
	}
	sc.apply(r, n, lo, hi, e)
}

// beginsAt says whether one of the rule's fixed beginnings stands at position at.
func (r *rule) beginsAt(sc *scanner, at int) bool {
	if r.boundary && is(sc.prev(at), classWord) {
		return false
	}
	for _, l := range r.starts {
		if l.at(sc.text[at:]) {
			return true
		}
	}
	return false
}

// contextRule runs a rule of the form "keyword = value" where the value is the token that ends at e.
func (sc *scanner) contextRule(r *rule, n, at, size, e int) {
	v := valueAfter(sc.text, at+size, sc.reach(12))
	if v < 0 {
		return
	}
	for e = max(e, v); e < len(sc.text) && e < v+around && (is(sc.text[e], classToken) || sc.text[e] == ':'); e++ {
		continue // the value is a later token, or two with a colon between
	}
	if v+r.minLen > e+slack {
		return
	}
	for _, b := range sc.text[v:min(e, v+r.minLen)] {
		if !is(b, classToken) && b != ':' {
			return
		}
	}
	if sc.probe {
		sc.found = append(sc.found, match{v, e, r.name, sc.phase})
		return
	}
	sc.apply(r, n, at, e, e)
}

// valueAfter skips what may stand between a keyword and its value, more generously than the rules do, and returns
// where the value begins; -1 when nothing is assigned. At most reach bytes are blank on either side of the sign.
func valueAfter(text []byte, i, reach int) int {
	limit := min(len(text), i+24)
	for i < limit && (is(text[i], classWord) || text[i] == ' ' || text[i] == '\t' || text[i] == '.' || text[i] == '-') {
		i++
	}
	blank := func(extra string) {
		for limit = min(len(text), i+reach); i < limit; i++ {
			switch b := text[i]; {
			case b == ' ', b == '\t', b == '\n', b == '\r', b == '"', b == '\'', b == '`':
			case b == '\\' && i+1 < len(text) && is(text[i+1], classLower):
				i++
			case b == '\\', bytes.IndexByte([]byte(extra), b) >= 0:
			default:
				return
			}
		}
	}
	blank("]")
	signs := i
	for i < len(text) && i < signs+3 && bytes.IndexByte([]byte("=>:|?,"), text[i]) >= 0 {
		i++
	}
	if i == signs {
		return -1
	}
	blank("=")
	return i
}

// apply runs a rule's expression over text[lo:hi]; the token ends at e. A sentence's full stop belongs to the token
// by its class, so a second try leaves trailing punctuation out.
func (sc *scanner) apply(r *rule, n, lo, hi, e int) {
	sc.done[n], sc.dirty = hi, true
	if sc.applyOnce(r, lo, hi, e) {
		return
	}
	end := min(e, hi)
	for end > lo && bytes.IndexByte([]byte(".-/=~%+"), sc.text[end-1]) >= 0 {
		end--
	}
	if end < hi {
		sc.applyOnce(r, lo, end, e)
	}
}

func (sc *scanner) applyOnce(r *rule, lo, hi, e int) bool {
	re, hit := r.compile(), false
	for lo < hi {
		loc := re.FindSubmatchIndex(sc.text[lo:hi])
		if loc == nil {
			return hit
		}
		g := 2 * r.group
		if r.group == 0 {
			for k := 2; k+1 < len(loc); k += 2 {
				if loc[k] >= 0 {
					g = k
					break
				}
			}
		}
		s, end := lo+loc[g], lo+loc[g+1]
		if r.accepts(sc.text[s:end]) {
			hit = true
			for !r.context && end < e && (is(sc.text[end], classWord) || sc.text[end] == '-') {
				end++ // a longer key of the same kind must not leave its tail
			}
			sc.add(s, end, r.name)
		}
		lo += max(loc[1], 1)
	}
	return hit
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
	return &scanner{r: r, done: make([]int, len(r.set.rules)), found: slices.Grow([]match(nil), 16)}
}
