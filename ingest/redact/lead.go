package redact

import (
	"regexp/syntax"
	"unicode/utf8"
)

// lead is how every match of an expression begins, as far as that can be read byte by byte without a choice. It is
// asked before the expression, so that SK, s. or pat in an identifier costs a few nanoseconds.
type lead []leadStep

// leadStep is a run of bytes of a set.
type leadStep struct {
	set      *byteSet
	min, max int
}

type byteSet [256]bool

// at says whether text may match from i on.
func (l lead) at(text []byte, i int) bool {
	for n := range l {
		step := &l[n]
		k := 0
		for k < step.max && i+k < len(text) && step.set[text[i+k]] {
			k++
		}
		if k < step.min {
			return false
		}
		i += k
	}
	return true
}

// leadOf reads the lead of an expression.
func leadOf(re *syntax.Regexp) lead {
	l, _ := lead(nil).follow(re)
	for n := range l {
		if l[n].min != l[n].max && n+1 < len(l) && !l[n].set.apart(l[n+1].set) {
			return l[:n+1] // where one run ends and the next begins is a choice
		}
	}
	return l
}

// follow appends the beginning of re; whole is false when something of re is left out.
func (l lead) follow(re *syntax.Regexp) (out lead, whole bool) {
	switch re.Op {
	case syntax.OpWordBoundary, syntax.OpEmptyMatch:
		return l, re.Op == syntax.OpEmptyMatch || len(l) == 0
	case syntax.OpCapture:
		return l.follow(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if l, whole = l.follow(sub); !whole {
				return l, false
			}
		}
		return l, true
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			set, plain := setOf([]rune{r, r}, re.Flags&syntax.FoldCase != 0)
			if l = append(l, leadStep{set, 1, 1}); !plain {
				return l, false
			}
		}
		return l, true
	case syntax.OpCharClass:
		set, plain := setOf(re.Rune, false)
		return append(l, leadStep{set, 1, 1}), plain
	case syntax.OpPlus, syntax.OpStar, syntax.OpQuest, syntax.OpRepeat:
		return l.repeat(re)
	}
	return l, false
}

func (l lead) repeat(re *syntax.Regexp) (out lead, whole bool) {
	low, high := re.Min, re.Max
	switch re.Op {
	case syntax.OpPlus:
		low, high = 1, -1
	case syntax.OpStar:
		low, high = 0, -1
	case syntax.OpQuest:
		low, high = 0, 1
	}
	one, plain := lead(nil).follow(re.Sub[0])
	if len(one) != 1 || one[0].min != 1 || one[0].max != 1 {
		return l, false
	}
	if high < 0 {
		high = unbounded
	}
	if !plain { // a character may be more than one byte
		high = unbounded
	}
	return append(l, leadStep{one[0].set, low, high}), plain
}

// setOf is the bytes of a class of characters. Beyond ASCII it takes in all bytes and is not plain.
func setOf(class []rune, fold bool) (set *byteSet, plain bool) {
	set, plain = &byteSet{}, true
	for i := 0; i+1 < len(class); i += 2 {
		for r := class[i]; r <= class[i+1] && r < utf8.RuneSelf; r++ {
			set[r] = true
			if fold && isLetter(byte(r)) {
				set[r^0x20] = true
				plain = plain && r|0x20 != 'k' && r|0x20 != 's' // U+212A and U+017F fold to these
			}
		}
		plain = plain && class[i+1] < utf8.RuneSelf
	}
	for b := utf8.RuneSelf; !plain && b < len(set); b++ {
		set[b] = true
	}
	return set, plain
}

// apart says that no byte is in both sets.
func (s *byteSet) apart(o *byteSet) bool {
	for b := range s {
		if s[b] && o[b] {
			return false
		}
	}
	return true
}
