package outline

import (
	"bytes"
	"strconv"

	"github.com/modeltrail/modeltrail/schemas/jsonscan"
	"github.com/modeltrail/modeltrail/schemas/sse"
)

// A stream's outline keeps its head, where the model and the first content are, and its end, where the counts are.
// The end is held in two halves: when both are full the older one makes room.
const (
	headSize = 128 << 10
	halfSize = 32 << 10
	done     = "[DONE]"
)

// frameMark is where a rendered frame lies in dst, without the comment before it.
type frameMark struct {
	at   int
	lens lengths
}

// tail tracks the part of dst behind the head.
type tail struct {
	at   int // where it begins; 0 = the head is not full
	half int // where its newer half begins; 0 = the older one is not full
}

func (w *writer) stream(body []byte) {
	var (
		frames   = sse.NewReader(body)
		base     = len(w.dst)
		prev     = frameMark{at: -1}
		rest     tail
		expected = 1
	)
	for {
		f, ok := frames.Next()
		if !ok {
			break
		}
		if f.Data == nil && f.Event == nil {
			continue
		}
		before := len(w.dst)
		if f.Number != expected && f.Number > 0 {
			w.dst = append(w.dst, sse.FrameComment...)
			w.dst = strconv.AppendInt(w.dst, int64(f.Number), 10)
			w.dst = append(w.dst, '\n')
		}
		cur := w.frame(&f)
		if len(w.dst) == cur.at+1 { // nothing but an event's name that is not kept
			w.dst = w.dst[:before]
			continue
		}
		if prev.at >= 0 && w.merge(&prev, cur, before) {
			continue
		}
		prev, expected = cur, f.Number+1
		if w.bound(&rest, base) {
			prev.at = -1
		}
	}
	if len(w.dst) == base {
		w.dst = append(w.dst, "data: null\n\n"...) // a body without events is still a body
	}
}

// frame renders one frame.
func (w *writer) frame(f *sse.Frame) frameMark {
	m := frameMark{at: len(w.dst)}
	w.kind, w.isError, w.lens, w.full = nil, false, lengths{}, false
	eventEnd := m.at
	if len(f.Event) > 0 && len(f.Event) <= maxString {
		w.dst = append(w.dst, "event: "...)
		w.dst = append(w.dst, f.Event...)
		w.dst = append(w.dst, '\n')
		eventEnd = len(w.dst)
	}
	if f.Data != nil {
		w.data(f.Data)
	}
	// An event's name is kept only when it says what the data says, or a word of the protocol: it is a place for
	// free text like any other.
	if eventEnd > m.at && !bytes.Equal(f.Event, w.kind) && !known(f.Event) {
		n := copy(w.dst[m.at:], w.dst[eventEnd:])
		w.dst = w.dst[:m.at+n]
		w.lens.at -= eventEnd - m.at
		w.lens.end -= eventEnd - m.at
	}
	w.dst = append(w.dst, '\n')
	m.lens = w.lens
	return m
}

func (w *writer) data(data []byte) {
	w.dst = append(w.dst, "data: "...)
	w.start = len(w.dst)
	w.scan = jsonscan.New(data)
	switch {
	case string(bytes.TrimSpace(data)) == done:
		w.dst = append(w.dst, done...)
	case w.scan.Object():
		w.object(inRoot, 1)
	default:
		w.dst = append(w.dst, "null"...)
	}
	w.dst = append(w.dst, '\n')
}

func known(event []byte) bool {
	switch string(event) {
	case "error", "message", "ping", "done", "completion":
		return true
	}
	return false
}

// merge drops the frame that begins at before, its comment included, when it says the same as the previous one. A
// length in which alone they differ is added to the previous frame's.
func (w *writer) merge(prev *frameMark, cur frameMark, before int) bool {
	a, b := w.dst[prev.at:before], w.dst[cur.at:]
	if prev.lens.count != cur.lens.count || cur.lens.count > 1 {
		return false
	}
	if cur.lens.count == 0 {
		if !bytes.Equal(a, b) {
			return false
		}
		w.dst = w.dst[:before]
		return true
	}
	pa, pb := prev.lens.at-prev.at, cur.lens.at-cur.at
	if pa != pb || !bytes.Equal(a[:pa], b[:pb]) ||
		!bytes.Equal(a[prev.lens.end-prev.at:], b[cur.lens.end-cur.at:]) ||
		(prev.lens.value == 0) != (cur.lens.value == 0) {
		return false
	}
	w.dst = w.dst[:before]
	w.setLength(&prev.lens, prev.lens.value+cur.lens.value)
	return true
}

// setLength replaces a number in the last frame of dst.
func (w *writer) setLength(l *lengths, value int) {
	var buf [20]byte
	digits := strconv.AppendInt(buf[:0], int64(value), 10)
	if grow := len(digits) - (l.end - l.at); grow > 0 {
		old := len(w.dst)
		w.dst = append(w.dst, digits[:grow]...)
		copy(w.dst[l.end+grow:], w.dst[l.end:old])
		l.end += grow
	}
	copy(w.dst[l.at:], digits)
	l.value = value
}

// bound keeps the outline within MaxStream. It reports true when a boundary was drawn after the last frame: nothing
// may be merged across it.
func (w *writer) bound(t *tail, base int) bool {
	size := len(w.dst)
	switch {
	case t.at == 0:
		if size-base < headSize {
			return false
		}
		t.at = size
	case t.half == 0:
		if size-t.at < halfSize {
			return false
		}
		t.half = size
	case size-t.half < halfSize:
		return false
	default:
		at := t.at + len(sse.CutComment) + 1
		n := copy(w.dst[at:], w.dst[t.half:])
		copy(w.dst[t.at:], sse.CutComment+"\n")
		w.dst = w.dst[:at+n]
		t.half = len(w.dst)
	}
	return true
}
