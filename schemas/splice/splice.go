// Package splice joins the beginning and the end of a body whose middle was not kept.
//
// The result is what a reader can still use: a JSON text stays a JSON text, a stream of events a stream of whole events,
// so that the model at the beginning and the counts at the end are read as from the whole body. What is missing is
// named in the place of the gap wherever the format has room for words: inside a string, in a comment of a stream.
//
// The join goes by structure only. A gap that spans several members may leave the end of a later one behind the
// beginning of an earlier one; the state of such a payload is truncated, and its values in that place are content.
package splice

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/modeltrail/modeltrail/schemas/sse"
)

// Append appends the join of head and tail to dst and returns the longer slice. omitted is the number of bytes between
// them. It may leave out more at either side of the gap; of a tail that cannot be joined nothing is used. It is safe
// for concurrent use.
func Append(dst []byte, contentType string, head, tail []byte, omitted int64) []byte {
	switch {
	case len(tail) == 0 || omitted <= 0:
		return append(append(dst, head...), tail...)
	case sse.Is(contentType, head):
		return events(dst, head, tail, omitted)
	case opensJSON(head):
		return document(dst, head, tail, omitted)
	}
	dst = append(dst, wholeRunes(head)...)
	dst = append(dst, marker(omitted)...)
	return append(dst, laterRunes(tail)...)
}

// marker stands in the gap. It needs no escape in JSON.
func marker(omitted int64) string {
	return "[... " + strconv.FormatInt(omitted, 10) + " bytes omitted ...]"
}

func opensJSON(body []byte) bool {
	body = bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF")), " \t\r\n")
	return len(body) > 0 && (body[0] == '{' || body[0] == '[')
}

// events keeps whole events on both sides.
func events(dst, head, tail []byte, omitted int64) []byte {
	end := max(after(head, "\n\n", bytes.LastIndex), after(head, "\r\n\r\n", bytes.LastIndex))
	begin := after(tail, "\n\n", bytes.Index)
	if crlf := after(tail, "\r\n\r\n", bytes.Index); begin < 0 || crlf >= 0 && crlf < begin {
		begin = crlf
	}
	if end < 0 || begin < 0 {
		return append(dst, head...)
	}
	dst = append(dst, head[:end]...)
	dst = fmt.Appendf(dst, "%s\n: %s\n\n", sse.CutComment, marker(omitted+int64(len(head)-end+begin)))
	return append(dst, tail[begin:]...)
}

// after returns where the text behind a separator begins, -1 without one.
func after(body []byte, separator string, find func(s, sep []byte) int) int {
	if i := find(body, []byte(separator)); i >= 0 {
		return i + len(separator)
	}
	return -1
}

// wholeRunes leaves out a rune that was cut at the end.
func wholeRunes(b []byte) []byte {
	for i := 1; i <= min(utf8.UTFMax, len(b)); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// laterRunes leaves out a rune that was cut at the beginning.
func laterRunes(b []byte) []byte {
	for i := 0; i < min(utf8.UTFMax, len(b)); i++ {
		if utf8.RuneStart(b[i]) {
			return b[i:]
		}
	}
	return b
}
