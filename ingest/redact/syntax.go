package redact

import (
	"bytes"
	"math"
	"regexp/syntax"
	"strings"
)

// literal is a fixed beginning of an expression.
type literal struct {
	text string
	fold bool
}

// meets says whether a text that begins with l can hold keyword k (lower case) at its start.
func (l literal) meets(k string) bool {
	low := strings.ToLower(l.text)
	return strings.HasPrefix(low, k) || strings.HasPrefix(k, low)
}

// at says whether text begins with l.
func (l literal) at(text []byte) bool {
	if len(text) < len(l.text) {
		return false
	}
	if l.fold {
		return bytes.EqualFold(text[:len(l.text)], []byte(l.text))
	}
	return string(text[:len(l.text)]) == l.text
}

const (
	unbounded     = 1 << 20
	maxBeginnings = 32
)

// beginnings returns the fixed texts one of which every match begins with, and whether a word boundary is asked
// for before it. It returns nil when the beginning is not fixed.
func beginnings(re *syntax.Regexp) (starts []literal, boundary bool) {
	starts, _ = prefixes(re)
	for _, l := range starts {
		if l.text == "" {
			return nil, false
		}
	}
	first := re
	for first.Op == syntax.OpConcat || first.Op == syntax.OpCapture {
		first = first.Sub[0]
	}
	return starts, first.Op == syntax.OpWordBoundary
}

// prefixes returns the literal beginnings of re, and whether they are the whole of it.
func prefixes(re *syntax.Regexp) (starts []literal, whole bool) {
	switch re.Op {
	case syntax.OpWordBoundary, syntax.OpEmptyMatch:
		return []literal{{}}, true
	case syntax.OpLiteral:
		return []literal{{string(re.Rune), re.Flags&syntax.FoldCase != 0}}, true
	case syntax.OpCapture:
		return prefixes(re.Sub[0])
	case syntax.OpAlternate:
		whole = true
		for _, sub := range re.Sub {
			s, w := prefixes(sub)
			starts, whole = append(starts, s...), whole && w
		}
		return starts, whole && len(starts) <= maxBeginnings
	case syntax.OpConcat:
		starts = []literal{{}}
		for _, sub := range re.Sub {
			s, w := prefixes(sub)
			if len(starts)*len(s) > maxBeginnings {
				return starts, false
			}
			var joined []literal
			for _, a := range starts {
				for _, b := range s {
					joined = append(joined, literal{a.text + b.text, a.fold || b.fold})
				}
			}
			if starts = joined; !w {
				return starts, false
			}
		}
		return starts, true
	default:
		return []literal{{}}, false
	}
}

// captured returns the expression of a capture group.
func captured(re *syntax.Regexp, group int) *syntax.Regexp {
	if re.Op == syntax.OpCapture && re.Cap == group {
		return re
	}
	for _, sub := range re.Sub {
		if found := captured(sub, group); found != nil {
			return found
		}
	}
	return nil
}

// lengths returns the shortest and the longest match of re in bytes.
func lengths(re *syntax.Regexp) (shortest, longest int) {
	switch re.Op {
	case syntax.OpLiteral:
		return len(string(re.Rune)), len(string(re.Rune))
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1, 4
	case syntax.OpStar:
		return 0, unbounded
	case syntax.OpPlus:
		s, _ := lengths(re.Sub[0])
		return s, unbounded
	case syntax.OpQuest:
		_, l := lengths(re.Sub[0])
		return 0, l
	case syntax.OpRepeat:
		s, l := lengths(re.Sub[0])
		if re.Max < 0 {
			return s * re.Min, unbounded
		}
		return s * re.Min, min(l*re.Max, unbounded)
	case syntax.OpAlternate:
		shortest = math.MaxInt
		for _, sub := range re.Sub {
			s, l := lengths(sub)
			shortest, longest = min(shortest, s), max(longest, l)
		}
		return shortest, longest
	default:
		for _, sub := range re.Sub {
			s, l := lengths(sub)
			shortest, longest = shortest+s, min(longest+l, unbounded)
		}
		return shortest, longest
	}
}

// entropy is the Shannon entropy of s in bits per byte.
func entropy(s []byte) float64 {
	if len(s) == 0 {
		return 0
	}
	var count [256]int
	for _, b := range s {
		count[b]++
	}
	var h float64
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(s))
			h -= p * math.Log2(p)
		}
	}
	return h
}
