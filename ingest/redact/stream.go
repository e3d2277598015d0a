package redact

import (
	"bytes"
	"encoding/binary"
)

// stream joins what a provider sends in pieces: the strings that stand at the same place of successive frames. A
// place is the path of object keys and of "index" values; a frame is the data of one SSE line, one line of NDJSON
// or one element of a top-level array.
type stream struct {
	groups map[uint64]int // place -> index into joined
	joined []joined
	used   int
	nodes  []node
	leaves []leaf

	shapes [64]shape // of frames that were read in full, by how they begin
	ends   []hole
}

// shape is a frame without the values that differ from frame to frame. A frame that is the same between its holes
// need not be read.
type shape struct {
	s, e  int // the frame
	holes []hole
}

// hole is a string or number body[s:e] of a frame.
type hole struct {
	s, e   int
	number bool
	place  uint64 // of a string that is told, 0 = none
}

// joined is the text of one place.
type joined struct {
	view   view
	frames int
}

// node is one object or array of the frame at hand.
type node struct {
	parent int
	key    uint64 // of the member or element that holds it
	index  uint64 // from its own "index" members, 0 = none
	path   uint64
	array  bool
	top    bool
	next   uint64 // position in an array
}

// leaf is one string value of the frame at hand.
type leaf struct {
	node int
	key  uint64
	s, e int
	hole int
}

// constant names hold what every frame repeats; nothing is split over them.
func constant(name []byte) bool {
	switch string(name) {
	case "id", "object", "model", "created", "created_at", "type", "role", "finish_reason", "stop_reason", "system_fingerprint",
		"service_tier", "item_id", "call_id", "status", "obfuscation", "modelVersion", "responseId", "finishReason":
		return true
	}
	return false
}

// isIndex says that a member tells pieces of different texts apart.
func isIndex(name []byte) bool {
	return bytes.Equal(name, []byte("index")) || bytes.HasSuffix(name, []byte("_index")) || bytes.Equal(name, []byte("item_id"))
}

func (st *stream) reset(keep int) {
	if st.groups == nil {
		st.groups = map[uint64]int{}
	}
	clear(st.groups)
	if len(st.joined) > 256 {
		st.joined = nil
	}
	for i := range st.joined {
		if cap(st.joined[i].view.buf) > keep {
			st.joined[i].view = view{}
		}
	}
	st.used = 0
	for i := range st.shapes {
		st.shapes[i].holes = st.shapes[i].holes[:0]
	}
}

// collect reads all frames of body.
func (st *stream) collect(k kind, body []byte) {
	if k == kindJSON {
		trimmed := bytes.TrimLeft(body, " \t\r\n")
		if len(trimmed) > 0 && trimmed[0] == '[' {
			st.frame(body, len(body)-len(trimmed), len(body))
			return
		}
	}
	for from := 0; from < len(body); {
		end := lineEnd(body, from)
		st.collectLine(k, body, from, end)
		from = nextLine(body, end)
	}
}

// collectLine reads the frame in the line body[s:end], if there is one.
func (st *stream) collectLine(k kind, body []byte, s, end int) {
	if k == kindSSE {
		if !bytes.HasPrefix(body[s:end], []byte("data:")) {
			return
		}
		s += len("data:")
		if s < end && body[s] == ' ' {
			s++
		}
	}
	if s < end && (body[s] == '{' || body[s] == '[') {
		st.frame(body, s, end)
	} else if k == kindSSE {
		st.add(0, body, s, end)
	}
}

// frame reads one frame, body[s:e], and adds its strings to their places.
func (st *stream) frame(body []byte, s, e int) {
	head := (load(body, s) ^ load(body, s+8)*3 ^ load(body, s+16)*5) * 0x9E3779B97F4A7C15 >> 40
	fresh := &st.shapes[head%uint64(len(st.shapes))]
	if st.replay(fresh, body, s, e) {
		return
	}
	fresh.s, fresh.e, fresh.holes = s, e, fresh.holes[:0]
	st.parse(fresh, body, s, e)
	if s < e && body[s] != '{' {
		fresh.holes = fresh.holes[:0] // an array's elements are frames of their own
	}
}

// parse reads a frame in full and takes down its shape.
func (st *stream) parse(fresh *shape, body []byte, s, e int) {
	st.nodes, st.leaves = st.nodes[:0], st.leaves[:0]
	cur := -1
	key, skip, index := uint64(0), false, false
	varies := false
	for i := s; i < e; i++ {
		if byteClass[body[i]]&classNested == 0 {
			continue
		}
		switch b := body[i]; {
		case b == '{' || b == '[':
			if cur >= 0 && st.nodes[cur].array {
				key = st.nodes[cur].next
			}
			st.nodes = append(st.nodes, node{parent: cur, key: key, array: b == '[', top: cur < 0})
			cur, skip, index = len(st.nodes)-1, false, false
		case b == '}' || b == ']':
			if cur >= 0 {
				cur = st.nodes[cur].parent
			}
		case b == ',':
			cur = st.comma(body, cur)
			skip, index = false, false
		case b == '"':
			end := stringEnd(body, i+1, e)
			text := body[i+1 : end]
			switch {
			case cur >= 0 && !st.nodes[cur].array && namesMember(body, end+1, e):
				key, skip, index = nameHash(text), constant(text), isIndex(text)
				varies = string(text) == "obfuscation"
			case cur >= 0 && index:
				st.nodes[cur].index ^= nameHash(text) + key
			case cur >= 0 && !skip:
				at := key
				if st.nodes[cur].array {
					at = st.nodes[cur].next
				}
				st.leaves = append(st.leaves, leaf{cur, at, i + 1, end, len(fresh.holes)})
				fresh.holes = append(fresh.holes, hole{s: i + 1, e: end})
			case varies:
				fresh.holes = append(fresh.holes, hole{s: i + 1, e: end})
			}
			i = end
		case index && b != '-' && cur >= 0:
			n := span(body, i+1, e, classDigit)
			st.nodes[cur].index ^= nameHash(body[i:n]) + key
			i, index = n-1, false
		case !index:
			n := numberEnd(body, i, e)
			fresh.holes = append(fresh.holes, hole{s: i, e: n, number: true})
			i = n - 1
		}
	}
	st.flush(body, fresh)
}

// comma ends an element of an array; one of a top-level array was a frame of its own.
func (st *stream) comma(body []byte, cur int) int {
	if cur < 0 || !st.nodes[cur].array {
		return cur
	}
	if st.nodes[cur].top {
		st.flush(body, nil)
		return 0
	}
	st.nodes[cur].next++
	return cur
}

func numberEnd(body []byte, i, e int) int {
	for i < e && (is(body[i], classDigit) || body[i] == '-' || body[i] == '.') {
		i++
	}
	return i
}

// replay adds the strings of body[s:e] if it is of a known shape.
func (st *stream) replay(of *shape, body []byte, s, e int) bool {
	if len(of.holes) == 0 {
		return false
	}
	st.ends = st.ends[:0]
	from, at := of.s, s
	for i := range of.holes {
		h := &of.holes[i]
		n := h.s - from
		if at+n > e || !bytes.Equal(body[from:h.s], body[at:at+n]) {
			return false
		}
		at += n
		end := 0
		if h.number {
			end = numberEnd(body, at, e)
		} else {
			end = stringEnd(body, at, e)
		}
		st.ends = append(st.ends, hole{s: at, e: end, place: h.place})
		from, at = h.e, end
	}
	if !bytes.Equal(body[from:of.e], body[at:e]) {
		return false
	}
	for _, h := range st.ends {
		if h.place != 0 && h.s < h.e {
			st.add(h.place, body, h.s, h.e)
		}
	}
	return true
}

// namesMember says whether a colon follows, so that the string before i was a name.
func namesMember(body []byte, i, e int) bool {
	for i < e && (body[i] == ' ' || body[i] == '\t' || body[i] == '\n' || body[i] == '\r') {
		i++
	}
	return i < e && body[i] == ':'
}

// flush adds the leaves read so far to their places and keeps only a top-level array's own node. It
// tells the holes of the frame's shape, if that is wanted, their places.
func (st *stream) flush(body []byte, of *shape) {
	for i := range st.nodes {
		n := &st.nodes[i]
		parent := uint64(1)
		if n.parent >= 0 {
			parent = st.nodes[n.parent].path
		}
		at := n.key
		if n.index != 0 {
			if n.parent >= 0 && st.nodes[n.parent].array {
				at = n.index // the index names the element, wherever it stands
			} else {
				at = mix(at, n.index)
			}
		}
		if n.top {
			at = n.index
		}
		n.path = mix(parent, at)
	}
	for _, l := range st.leaves {
		place := mix(st.nodes[l.node].path, l.key) | 1
		if of != nil {
			of.holes[l.hole].place = place
		}
		if l.s < l.e {
			st.add(place, body, l.s, l.e)
		}
	}
	st.leaves = st.leaves[:0]
	if len(st.nodes) > 0 {
		st.nodes = st.nodes[:1]
	}
}

func mix(a, b uint64) uint64 {
	h := (a ^ b*0x9E3779B97F4A7C15) * 0xC2B2AE3D27D4EB4F
	return h ^ h>>29
}

// nameHash tells names apart, eight bytes at a time.
func nameHash(name []byte) uint64 {
	h := uint64(len(name)) + 1
	for ; len(name) >= 8; name = name[8:] {
		h = mix(h, binary.LittleEndian.Uint64(name))
	}
	last := uint64(0)
	for _, b := range name {
		last = last<<8 | uint64(b)
	}
	return mix(h, last)
}

// add appends body[s:e] to the text of a place.
func (st *stream) add(place uint64, body []byte, s, e int) {
	i, ok := st.groups[place]
	if !ok {
		i = st.used
		if i == len(st.joined) {
			st.joined = append(st.joined, joined{})
		}
		st.joined[i].view.reset()
		st.joined[i].frames = 0
		st.groups[place] = i
		st.used++
	}
	j := &st.joined[i]
	j.frames++
	j.view.decode(body[s:e], s, backslashes)
}
