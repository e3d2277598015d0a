package redact

import "fmt"

// automaton is an Aho-Corasick matcher for keywords, blind to ASCII case, laid out as one dense transition table.
// Bytes that occur in no keyword share one column, so the table of some three hundred keywords stays near 300 KB.
// It only ever runs over long tokens and what stands just before them, never over prose.
type automaton struct {
	class [256]uint8
	shift uint8
	next  []uint16   // state<<shift | class -> state, with hitBit where keywords end
	outs  [][]uint16 // state -> keyword ids that end here
	size  []uint8    // keyword id -> length
}

const (
	hitBit    = 1 << 15
	stateBits = hitBit - 1
)

// newAutomaton compiles keywords, which are lower case. The id of a keyword is its index.
func newAutomaton(keywords []string) (*automaton, error) {
	a := &automaton{size: make([]uint8, len(keywords))}
	classes := a.classify(keywords)
	for 1<<a.shift < classes {
		a.shift++
	}
	states := 1
	for _, k := range keywords {
		states += len(k)
	}
	if states >= hitBit {
		return nil, fmt.Errorf("build keyword automaton: %d states do not fit 15 bits", states)
	}
	a.next = make([]uint16, states<<a.shift)
	a.outs = make([][]uint16, states)
	used := 1
	for id, k := range keywords {
		state := 0
		for i := range len(k) {
			cell := state<<a.shift | int(a.class[k[i]])
			if a.next[cell] == 0 {
				a.next[cell] = uint16(used)
				used++
			}
			state = int(a.next[cell])
		}
		a.outs[state] = append(a.outs[state], uint16(id))
		a.size[id] = uint8(len(k))
	}
	a.next = append([]uint16(nil), a.next[:used<<a.shift]...)
	a.outs = append([][]uint16(nil), a.outs[:used]...)
	a.link(used)
	return a, nil
}

// classify numbers the bytes that occur; 0 is every other byte.
func (a *automaton) classify(keywords []string) int {
	classes := 1
	for _, k := range keywords {
		for i := range len(k) {
			if a.class[k[i]] == 0 {
				a.class[k[i]] = uint8(classes)
				classes++
			}
		}
	}
	for c := byte('A'); c <= 'Z'; c++ {
		a.class[c] = a.class[c+'a'-'A']
	}
	return classes
}

// link turns the trie into a complete automaton, breadth first.
func (a *automaton) link(used int) {
	width := 1 << a.shift
	fail := make([]uint16, used)
	queue := make([]uint16, 0, used)
	for c := range width {
		if s := a.next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		f := fail[s]
		if len(a.outs[f]) > 0 {
			a.outs[s] = append(a.outs[s], a.outs[f]...)
		}
		for c := range width {
			cell := int(s)<<a.shift | c
			back := a.next[int(f)<<a.shift|c]
			if t := a.next[cell]; t != 0 {
				fail[t] = back
				queue = append(queue, t)
			} else {
				a.next[cell] = back
			}
		}
	}
	for cell, s := range a.next {
		if len(a.outs[s]) > 0 {
			a.next[cell] |= hitBit
		}
	}
}
