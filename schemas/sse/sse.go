// Package sse reads server-sent events (WHATWG HTML, section "Server-sent events") out of a captured body.
//
// A frame is a run of non-empty lines that an empty line ends. Frames are counted from 1, comment-only ones too, as they
// are where they pass, so a frame's number in a stored body can be set against the moment it was relayed. Lines end
// with LF or CRLF; a lone CR, which no provider sends, is part of its line.
//
// An outline (schemas/outline) leaves frames out and says so with two comments, which Reader understands:
// ": frame 17" gives the number of the frame it stands in, ": cut" says that frames are missing before it
// whose number nobody knows.
package sse

import (
	"bytes"
	"strconv"
)

// Comments by which an outline tells about frames that it left out.
const (
	FrameComment = ": frame "
	CutComment   = ": cut"
)

// Frame is one event. Its slices alias the body, except Data of an event with several data lines.
type Frame struct {
	Number int    // place in the original stream from 1; 0 = unknown
	Event  []byte // the last "event:" value
	Data   []byte // the "data:" values, joined with LF; nil when there was none
	Whole  bool   // the empty line that ends the frame was there
}

// Reader yields the frames of a body. It is not safe for concurrent use.
type Reader struct {
	rest   []byte
	number int
	cut    bool
}

// NewReader returns a reader at the start of body.
func NewReader(body []byte) Reader {
	return Reader{rest: bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF"))}
}

// Cut reports whether a cut comment was met: frames are missing.
func (r *Reader) Cut() bool { return r.cut }

// Next returns the next frame, also the last one when the body ends inside it, or false at the end.
func (r *Reader) Next() (f Frame, ok bool) {
	lines := 0
	for len(r.rest) > 0 {
		line, whole := r.line()
		if len(line) == 0 && whole {
			if lines == 0 {
				continue
			}
			f.Whole = true
			break
		}
		if lines == 0 {
			r.count()
		}
		lines++
		r.field(&f, line)
	}
	f.Number = max(r.number, 0)
	return f, lines > 0
}

// count numbers the frame that begins. After a cut the number stays unknown, which is -1 here.
func (r *Reader) count() {
	if r.number >= 0 {
		r.number++
	}
}

func (r *Reader) line() (line []byte, whole bool) {
	i := bytes.IndexByte(r.rest, '\n')
	if i < 0 {
		line, r.rest = r.rest, nil
		return line, false
	}
	line, r.rest = r.rest[:i], r.rest[i+1:]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, true
}

func (r *Reader) field(f *Frame, line []byte) {
	if len(line) == 0 {
		return
	}
	switch line[0] {
	case 'd':
		if v, ok := value(line, "data"); ok {
			f.addData(v)
		}
	case 'e':
		if v, ok := value(line, "event"); ok {
			f.Event = v
		}
	case ':':
		r.comment(line)
	}
}

func (r *Reader) comment(line []byte) {
	if string(line) == CutComment {
		r.cut = true
		r.number = -1
		return
	}
	if len(line) <= len(FrameComment) || string(line[:len(FrameComment)]) != FrameComment || r.cut {
		return
	}
	if n, err := strconv.ParseUint(string(line[len(FrameComment):]), 10, 31); err == nil && n > 0 {
		r.number = int(n)
	}
}

func (f *Frame) addData(v []byte) {
	if f.Data == nil {
		f.Data = v
		return
	}
	joined := make([]byte, 0, len(f.Data)+1+len(v))
	joined = append(append(joined, f.Data...), '\n')
	f.Data = append(joined, v...)
}

// value returns what follows "name:" and one optional space.
func value(line []byte, name string) ([]byte, bool) {
	if len(line) < len(name) || string(line[:len(name)]) != name {
		return nil, false
	}
	if len(line) == len(name) {
		return line[len(name):], true
	}
	if line[len(name)] != ':' {
		return nil, false
	}
	v := line[len(name)+1:]
	if len(v) > 0 && v[0] == ' ' {
		v = v[1:]
	}
	return v, true
}

// Is reports whether a body is a stream of events. The body's first bytes decide, for gateways mislabel error
// bodies; the content type decides for what could be either.
func Is(contentType string, body []byte) bool {
	b := bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF")), " \t\r\n")
	if len(b) > 0 {
		switch b[0] {
		case '{', '[':
			return false
		case ':':
			return true
		}
		for _, name := range [...]string{"data:", "event:", "id:", "retry:"} {
			if bytes.HasPrefix(b, []byte(name)) {
				return true
			}
		}
	}
	const want = "text/event-stream"
	return len(contentType) >= len(want) && bytes.EqualFold([]byte(contentType[:len(want)]), []byte(want))
}
