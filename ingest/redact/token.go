package redact

import "bytes"

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
	case sc.done[k.n].token == e && at < sc.done[k.n].end, r.starts != nil && !r.wide && e-at < r.minLen, r.starts != nil && !r.beginsAt(sc, at):
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
// by its class, so a second try ends where the token does and leaves trailing punctuation out.
func (sc *scanner) apply(r *rule, n, lo, hi, e int) {
	sc.done[n], sc.dirty = examined{token: e, end: hi}, true
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
