package redact

import (
	"bytes"
	"math/bits"
)

// number judges a run of digits, spaces and number signs for account, card and phone numbers, in this order, so
// that the longer form wins. It ends in the block b at i.
func (sc *scanner) number(b *block, i, s, e int) {
	c := counted{}
	if s < i {
		c = count(sc.text, s, e)
	} else {
		c = b.count(s-i, e-s)
	}
	if c.digits >= minDigits {
		sc.counted(c, s, e)
	}
}

// counted judges the run [s,e), of which c is known.
func (sc *scanner) counted(c counted, s, e int) {
	text := sc.text
	iban := sc.r.iban && ibanBefore(text, s)
	card := sc.r.card && c.digits >= minCard
	if card && c.groups == 1 {
		first := s + bytes.IndexAny(text[s:e], "0123456789")
		card = c.digits <= maxCard && issued(text[first], text[first+1])
	}
	sc.spoken = unasked
	if !iban && !card && c.few() && (!sc.r.phone || !sc.announcedPhone(s, s)) {
		return // no account, no card; a phone number of so few groups needs a word, or a zero in front
	}
	free := s // everything before it is judged
	if iban {
		free = max(free, sc.ibans(s))
	}
	for i := free; i < e; {
		b := text[i]
		if !is(b, classDigit) && b != '+' && b != '(' {
			i++
			continue
		}
		if card && is(b, classDigit) {
			if end := sc.cardAt(i); end > 0 {
				sc.add(i, end, PIICard)
				i = end
				continue
			}
		}
		if sc.r.phone {
			if end := sc.phoneAt(s, i); end > 0 {
				sc.add(i, end, PIIPhone)
				i = end
				continue
			}
		}
		if !is(b, classDigit) {
			i++
			continue
		}
		for i < e && is(text[i], classDigit) {
			i++
		}
	}
}

const (
	longestPrefix = 14 // bytes of an IBAN before the digits in which it was noticed
	minCard       = 13 // digits of the shortest card number
	maxCard       = 19
)

// counted is what is cheap to know of a run of number characters.
type counted struct {
	digits, groups int
	trunk          bool // a group of two digits or more begins with 0
	plus           bool
	american       bool // groups of three, three and four digits may follow each other
}

// few says that a number of these groups is a phone number only where a word says so.
func (c *counted) few() bool { return !c.plus && !c.american && (!c.trunk || c.groups < 2) }

// americanIn says whether groups of three, three and four digits stand in a mask of digits, with one or two other
// characters between them.
func americanIn(digit uint64) bool {
	first := digit &^ (digit << 1)
	three := first & (digit >> 1) & (digit >> 2) &^ (digit >> 3)
	four := first & (digit >> 1) & (digit >> 2) & (digit >> 3) &^ (digit >> 4)
	return three&(three>>4&(four>>8|four>>9)|three>>5&(four>>9|four>>10)) != 0
}

// count looks at eight bytes of text[s:e] at a time.
func count(text []byte, s, e int) (c counted) {
	all := uint64(0)
	before := uint64(0) // the last byte was a digit; bit 1: a zero that began a group
	for i := s; i < e; i += 8 {
		w := load(text, i)
		if left := e - i; left < 8 {
			w &= 1<<(8*left) - 1
		}
		digit, zero := between(w, '0', '9'), bitsOf(equal(w, '0'))
		first := digit &^ (digit<<1 | before&1)
		all |= digit << (i - s)
		c.digits += bits.OnesCount64(digit)
		c.groups += bits.OnesCount64(first)
		leading := first & zero
		c.trunk = c.trunk || digit&(leading<<1|before>>1) != 0
		before = digit>>7 | leading>>7<<1
		c.plus = c.plus || equal(w, '+') != 0
	}
	c.american = c.groups > 2 && (e-s > 64 || americanIn(all))
	return c
}

// equal marks, in its highest bit, every byte of w that is b.
func equal(w uint64, b byte) uint64 {
	x := w ^ uint64(b)*ones
	return ^((x&^highs + 0x7F*ones) | x) & highs
}

// bitsOf gathers the highest bits of the eight bytes of w.
func bitsOf(w uint64) uint64 { return w & highs >> 7 * 0x0102040810204080 >> 56 }

// ibanBefore says whether two capitals and two digits stand in the longestPrefix bytes before s, of which the digits
// may reach beyond.
func ibanBefore(text []byte, s int) bool {
	if s < longestPrefix {
		return true
	}
	low, high := load(text, s-longestPrefix), load(text, s-longestPrefix+8)
	upper := between(low, 'A', 'Z') | between(high, 'A', 'Z')<<8
	if upper&(upper>>1) == 0 {
		return false
	}
	digit := between(low, '0', '9') | between(high, '0', '9')<<8
	return upper&(upper>>1)&(digit>>2)&(digit>>3) != 0
}

// between is a mask of the eight bytes of w that are at least low and at most high, which are ASCII.
func between(w uint64, low, high byte) uint64 {
	x := w &^ highs
	return bitsOf((x + uint64(0x80-low)*ones) &^ (x + uint64(0x7F-high)*ones) &^ w)
}

// cardAt returns the end of the payment card number that begins at i, or 0. Known prefixes and lengths
// (ISO/IEC 7812 ranges of the large networks), groups as printed on cards, Luhn checksum. Barcodes have thirteen
// digits and identifiers eighteen or nineteen: without groups such a number needs a word like "card" before it.
func (sc *scanner) cardAt(i int) int {
	text := sc.text
	before := sc.prev(i)
	if !issued(text[i], sc.follow(i+1)) || is(before, classWord) || (before == '.' || before == '-') && is(sc.prev(i-1), classDigit) {
		return 0
	}
	var digits [20]byte
	n, end, group, groups := 0, 0, 0, 0
	sep := byte(0)
	for k := i; k < len(text) && n < len(digits); k++ {
		b := text[k]
		if is(b, classDigit) {
			digits[n] = b - '0'
			n, group = n+1, group+1
			if k+1 == len(text) || !is(text[k+1], classDigit) {
				groups++
				usual := groups > 1 && group >= 2 || n >= 14 && n <= 16 || n > 12 && n < 20 && sc.announced(i, &cardWords)
				if n >= 13 && n <= 19 && usual && sc.cardEnds(k+1, sep) && cardNumber(digits[:n]) {
					end = k + 1
				}
			}
			continue
		}
		if b != ' ' && b != '-' || sep != 0 && b != sep || group < 3 || group > 7 || k+1 == len(text) || !is(text[k+1], classDigit) {
			break
		}
		sep, group = b, 0
	}
	return end
}

// cardEnds says whether a number may end before k.
func (sc *scanner) cardEnds(k int, sep byte) bool {
	b := sc.follow(k)
	if is(b, classWord) {
		return false
	}
	next := sc.follow(k + 1)
	joins := (b == '.' || b == '-' || b == sep) && b != ' '
	return !joins || !isAlnum(next)
}

// issued is false for most first two digits that no network uses.
func issued(a, b byte) bool {
	switch a {
	case '2':
		return b >= '2' && b <= '7'
	case '8':
		return b == '1'
	}
	return a >= '3' && a <= '6'
}

func cardNumber(d []byte) bool {
	two := int(d[0])*10 + int(d[1])
	four := two*100 + int(d[2])*10 + int(d[3])
	n := len(d)
	known := false
	switch {
	case d[0] == 4: // Visa
		known = n == 13 || n == 16 || n == 19
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720: // Mastercard
		known = n == 16
	case two == 34, two == 37: // American Express
		known = n == 15
	case four >= 3528 && four <= 3589: // JCB
		known = n >= 16
	case two == 36, two == 38, two == 39, four/10 >= 300 && four/10 <= 305: // Diners Club
		known = n == 14 || n == 16
	case four == 6011, two == 65, four/10 >= 644 && four/10 <= 649: // Discover
		known = n >= 16
	case two == 62, two == 81: // UnionPay
		known = n >= 16
	case two == 50, two >= 56 && two <= 58, two == 60, two == 63, two == 67: // Maestro, RuPay
		known = n >= 16
	}
	return known && luhn(d)
}

func luhn(d []byte) bool {
	sum, same := 0, true
	for i := range d {
		v := int(d[len(d)-1-i])
		same = same && d[i] == d[0]
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0 && !same
}

// ibans removes account numbers (ISO 13616) whose digits stand in the run that begins at s and returns the end of the last one.
func (sc *scanner) ibans(s int) int {
	last := 0
	for i := max(0, s-longestPrefix); i < s; i++ {
		if !is(sc.text[i], classUpper) || i < last {
			continue
		}
		if end := sc.ibanAt(i); end > 0 {
			sc.add(i, end, PIIIBAN)
			last = end
		}
	}
	return last
}

func (sc *scanner) ibanAt(i int) int {
	text := sc.text
	if i+15 > len(text) || is(sc.prev(i), classWord) || !is(text[i+1], classUpper) || !is(text[i+2], classDigit) || !is(text[i+3], classDigit) {
		return 0
	}
	size := ibanLengths[string(text[i:i+2])]
	if size == 0 {
		return 0
	}
	var account [34]byte
	n, k := 0, i
	for ; k < len(text) && n < size; k++ {
		b := text[k]
		if is(b, classDigit|classUpper) {
			account[n] = b
			n++
			continue
		}
		if b != ' ' && b != '-' || n == 0 || text[k-1] == b {
			return 0
		}
	}
	if n < size || isAlnum(sc.follow(k)) || !mod97(account[:n]) {
		return 0
	}
	return k
}

// mod97 is the check of ISO 7064 MOD 97-10 over the rearranged number.
func mod97(account []byte) bool {
	rest := 0
	for i := range account {
		b := account[(i+4)%len(account)]
		if is(b, classDigit) {
			rest = (rest*10 + int(b-'0')) % 97
		} else {
			rest = (rest*100 + int(b-'A') + 10) % 97
		}
	}
	return rest == 1
}

// ibanLengths is the length by country (SWIFT IBAN registry).
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28,
	"CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
	"FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28,
	"IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
	"LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28,
	"NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24,
	"SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26,
	"UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}

// wordList is words by their first letter.
type wordList [26][]string

func newWordList(words ...string) (l wordList) {
	for _, w := range words {
		l[w[0]-'a'] = append(l[w[0]-'a'], w)
	}
	return l
}

var (
	// phoneWords announce a number that is not written in an international form.
	phoneWords = newWordList("phone", "tel", "mobile", "mobil", "cell", "fax", "call", "whatsapp", "handy", "telefon", "sms", "dial")
	// cardWords announce a card number of an unusual length.
	cardWords = newWordList("card", "visa", "maestro", "unionpay", "pan", "credit", "debit", "karte", "carte", "tarjeta")
)

// heard is the bytes before a number in which a word may announce it.
const heard = 24

// announced says whether one of words begins within the heard characters before i, on the same line. A backslash does not
// count where escapes are not resolved.
func (sc *scanner) announced(i int, words *wordList) bool {
	if i < heard {
		return sc.announcedLetterByLetter(i, words)
	}
	begins, known := wordsBefore(sc.text, i)
	if !known {
		return sc.announcedLetterByLetter(i, words)
	}
	for ; begins != 0; begins &= begins - 1 {
		if sc.oneOf(words, i-heard+bits.TrailingZeros64(begins), i) {
			return true
		}
	}
	return false
}

// announcedLetterByLetter is announced at any place.
func (sc *scanner) announcedLetterByLetter(i int, words *wordList) bool {
	for k, left := i-1, heard; k >= 0 && left > 0 && sc.text[k] != '\n'; k, left = k-1, left-1 {
		if sc.text[k] == '\\' && sc.probe {
			left++
		}
		if isLetter(sc.text[k]) && sc.oneOf(words, k, i) {
			return true
		}
	}
	return false
}

// wordsBefore marks of the heard bytes before i those where a word may begin; it does not know where there are backslashes.
func wordsBefore(text []byte, i int) (begins uint64, known bool) {
	a, b, c := load(text, i-24), load(text, i-16), load(text, i-8)
	if (a|b|c)&(0x40*ones) == 0 {
		return 0, true // digits and signs only, as in a list of numbers
	}
	if equal(a, '\\')|equal(b, '\\')|equal(c, '\\') != 0 {
		return 0, false
	}
	letter := between(a|folds, 'a', 'z') | between(b|folds, 'a', 'z')<<8 | between(c|folds, 'a', 'z')<<16
	digit := between(a, '0', '9') | between(b, '0', '9')<<8 | between(c, '0', '9')<<16
	line := bitsOf(equal(a, '\n')) | bitsOf(equal(b, '\n'))<<8 | bitsOf(equal(c, '\n'))<<16
	first := ^((letter | digit) << 1) | 1 | 2 // what stands before these two may be an escape
	return letter & first >> bits.Len64(line) << bits.Len64(line), true
}

// oneOf says whether one of words begins at k, before a number at i.
func (sc *scanner) oneOf(words *wordList, k, i int) bool {
	for _, w := range words[sc.text[k]&0x1F-1] {
		if hasFold(sc.text[:i], k, w) && (k == 0 || !isAlnum(sc.prev(k))) {
			return true
		}
	}
	return false
}
