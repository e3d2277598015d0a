package redact

// phoneGroups is a written number taken apart: the lengths of its digit groups and what stands between them.
type phoneGroups struct {
	n     int
	size  [8]int
	sep   [8]byte // before group k
	end   [8]int  // in the text
	first [2]byte // first two digits
	zero  bool    // the third digit is 0 as well
	total int
}

// phoneAt returns the end of the phone number that begins at i, or 0; the run of number characters around it begins
// at s. A number counts as one when it is written like one: with a leading plus (ITU-T E.164), in the groups of the
// North American plan, with a trunk or international zero and groups, or announced by a word such as "phone". A bare
// run of digits is none.
func (sc *scanner) phoneAt(s, i int) int {
	text := sc.text
	before := sc.prev(i)
	if is(before, classWord) || (before == '.' || before == '-' || before == '+') && isAlnum(sc.prev(i-1)) || (before == '/' || before == ':') && is(sc.prev(i-1), classDigit) {
		return 0
	}
	if text[i] == '+' {
		return sc.international(i)
	}
	k := i
	if text[k] == '(' {
		k++
	}
	if first := sc.follow(k); first != '0' && !american(text, k) && !sc.announcedPhone(s, i) {
		return 0
	}
	g := sc.groups(i)
	if g.n == 0 || g.total < minDigits || g.n == 2 && g.sep[1] == '.' && g.first[0] != '0' {
		return 0 // too short, or a decimal fraction
	}
	if before == ' ' && g.n > 1 && g.sep[1] == ' ' && is(sc.prev(i-1), classDigit) {
		return 0 // the middle of a longer number
	}
	if end := northAmerican(&g, text[i] == '('); end > 0 && sc.phoneEnds(end) {
		return end
	}
	if end := trunkZero(&g); end > 0 && sc.phoneEnds(end) {
		return end
	}
	last := g.end[g.n-1]
	if g.total <= 15 && !g.date() && sc.phoneEnds(last) && sc.announcedPhone(s, i) {
		return last
	}
	return 0
}

// american says whether what begins at k may be [1] NXX NXX XXXX: a first group of three digits and a second, or a 1.
func american(text []byte, k int) bool {
	if k+12 > len(text) {
		return false
	}
	digit := func(i int) bool { return is(text[i], classDigit) }
	if !digit(k + 1) {
		return text[k] == '1'
	}
	if !digit(k+2) || digit(k+3) {
		return false
	}
	for k += 4; k < len(text) && !digit(k); k++ {
		if !is(text[k], classNumber) {
			return false
		}
	}
	return k+3 < len(text) && digit(k+1) && digit(k+2) && !digit(k+3)
}

// What is known of a phone word before the run of number characters at hand.
const (
	unasked = iota
	silent
	spoken
)

// announcedPhone says whether a phone word stands before i. No word stands in a run of number characters, so for
// the run that begins at s the text before it is asked once if the answer is no.
func (sc *scanner) announcedPhone(s, i int) bool {
	if sc.spoken == unasked {
		sc.spoken = silent
		if sc.announced(s, &phoneWords) {
			sc.spoken = spoken
		}
	}
	return sc.spoken == spoken && (i == s || sc.announced(i, &phoneWords))
}

// phoneEnds says whether a number may end before k.
func (sc *scanner) phoneEnds(k int) bool {
	b := sc.follow(k)
	if is(b, classWord) {
		return false
	}
	joins := b == '.' || b == '-' || b == ':' || b == '/'
	return !joins || !isAlnum(sc.follow(k+1))
}

// international reads +CC and up to fifteen digits.
func (sc *scanner) international(i int) int {
	if !is(sc.follow(i+1), classDigit) || sc.follow(i+1) == '0' {
		return 0
	}
	digits, end := 0, 0
	for k, gap := i+1, 0; k < len(sc.text) && digits <= 15; k++ {
		b := sc.text[k]
		switch {
		case is(b, classDigit):
			digits, gap = digits+1, 0
			if digits >= minDigits && digits <= 15 && !is(sc.follow(k+1), classDigit) && !is(sc.follow(k+1), classWord) {
				end = k + 1
			}
		case is(b, classNumber) && b != '+' && gap < 2:
			gap++
		default:
			k = len(sc.text)
		}
	}
	return end
}

// groups reads digit groups from i on, at most eight, each after one separator or after ") ".
func (sc *scanner) groups(i int) (g phoneGroups) {
	text := sc.text
	k := i
	open := text[k] == '('
	if open {
		k++
	}
	for g.n < len(g.size) && k < len(text) && is(text[k], classDigit) {
		start := k
		for k < len(text) && is(text[k], classDigit) {
			k++
		}
		if g.n == 0 {
			g.first[0] = text[start]
			if k-start > 1 {
				g.first[1] = text[start+1]
			}
			g.zero = k-start > 2 && text[start+2] == '0'
		}
		g.size[g.n], g.end[g.n] = k-start, k
		g.total += k - start
		g.n++
		if g.n == len(g.size) || k >= len(text) {
			break
		}
		sep := text[k]
		switch {
		case sep == ')' && k+2 < len(text) && (text[k+1] == ' ' || text[k+1] == '-'):
			k += 2
		case sep == ')' || sep == ' ' || sep == '-' || sep == '.' || sep == '/':
			k++
			if k < len(text) && text[k] == '(' {
				k++
			}
		default:
			return g
		}
		g.sep[g.n] = sep
	}
	return g
}

// date says that the groups look like a date, a time stamp or an address of four parts.
func (g *phoneGroups) date() bool {
	if g.n < 3 {
		return false
	}
	a, b, c := g.size[0], g.size[1], g.size[2]
	if g.sep[1] == g.sep[2] && g.sep[1] != ' ' && (a == 4 && b <= 2 && c <= 2 || a <= 2 && b <= 2 && c == 4) {
		return true
	}
	return g.n >= 4 && g.sep[1] == '.' && g.sep[2] == '.' && g.sep[3] == '.' && a <= 3 && b <= 3 && c <= 3 && g.size[3] <= 3
}

// northAmerican accepts [1] NXX NXX XXXX with one kind of separator or an area code in parentheses.
func northAmerican(g *phoneGroups, open bool) int {
	k := 0
	if g.n >= 4 && g.size[0] == 1 && g.first[0] == '1' {
		k = 1
	} else if g.first[0] < '2' {
		return 0
	}
	if g.n < k+3 || g.size[k] != 3 || g.size[k+1] != 3 || g.size[k+2] != 4 {
		return 0
	}
	paren := open || k == 1 && g.sep[2] == ')'
	if !paren && g.sep[k+1] != g.sep[k+2] || g.sep[k+1] == '/' {
		return 0
	}
	if g.n > k+3 && g.sep[k+3] == g.sep[k+2] { // a longer list of numbers
		return 0
	}
	return g.end[k+2]
}

// trunkZero accepts a national number with its leading 0 and 00 as international prefix.
func trunkZero(g *phoneGroups) int {
	if g.first[0] != '0' || g.n < 2 || g.size[0] < 2 || g.size[0] > 5 || g.date() {
		return 0
	}
	pairs := true
	for k := range g.n {
		pairs = pairs && g.size[k] == 2
	}
	if pairs && g.n != 5 { // five pairs are a French number, more are a list of bytes
		return 0
	}
	most := 12
	if g.first[1] == '0' {
		if g.size[0] < 3 || g.zero {
			return 0
		}
		most = 15
	}
	total, end := g.size[0], 0
	for k := 1; k < g.n; k++ {
		if total += g.size[k]; g.size[k] < 2 || total > most {
			break
		}
		if total >= minDigits {
			end = g.end[k]
		}
	}
	return end
}
