package tap

import (
	"bytes"

	"github.com/modeltrail/modeltrail/schemas/event"
)

const maxMarks = 16

// marks notes when the first whole frames of an event stream passed (WHATWG HTML, 9.2: a blank line ends a frame).
type marks struct {
	on      bool
	frames  uint32
	midLine bool // the last line is not ended
	filled  bool // the open frame has a line
	count   int
	list    [maxMarks]mark
}

type mark struct {
	frames uint32
	at     int64
}

// scan counts the frames that p completes and reports whether there were any. Bytes are not kept.
func (m *marks) scan(p []byte) bool {
	before := m.frames
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		line := p
		if end >= 0 {
			line = p[:end]
		}
		blank := !m.midLine && (len(line) == 0 || len(line) == 1 && line[0] == '\r')
		if end < 0 {
			m.midLine = m.midLine || !blank
			break
		}
		switch {
		case !blank:
			m.filled = true
		case m.filled:
			m.frames++
			m.filled = false
		}
		m.midLine = false
		p = p[end+1:]
	}
	return m.frames != before
}

// note records the moment when p had passed.
func (m *marks) note(p []byte, now func() int64) {
	if !m.on || m.count == maxMarks || !m.scan(p) {
		return
	}
	m.list[m.count] = mark{m.frames, now()}
	m.count++
}

func (m *marks) chunks() []*event.ChunkMark {
	if m.count == 0 {
		return nil
	}
	out := make([]*event.ChunkMark, m.count)
	for i, k := range m.list[:m.count] {
		out[i] = &event.ChunkMark{Frames: k.frames, AtUnixNano: uint64(k.at)}
	}
	return out
}
