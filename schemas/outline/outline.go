// Package outline reduces a JSON body, or a stream of events that carry JSON, to a skeleton without content.
//
// An outline holds what the decoders of schemas/dialect read and nothing else: an allow-list (rules.go) names the keys
// whose numbers, words and short strings survive and the containers that are entered. Everything else is dropped,
// notably messages, text, tool arguments and embeddings. Where a decoder needs to know of a dropped value, a sibling
// key tells: <key>_len is its length in bytes, <key>_nonempty says that there was some. A decoder given an outline
// and one given the body reach the same result.
//
// An outline is always well formed, also that of a body cut off anywhere; EndKey then says so.
package outline

import (
	"strconv"

	"github.com/modeltrail/modeltrail/schemas/jsonscan"
	"github.com/modeltrail/modeltrail/schemas/sse"
)

// Suffixes of the keys that stand for dropped values.
const (
	LenSuffix      = "_len"
	NonEmptySuffix = "_nonempty"
)

// EndKey is the member that ends the outline of a body of which the outline does not tell everything; its value is
// EndTruncated, EndMalformed or EndLimit.
const (
	EndKey       = "outline_end"
	EndTruncated = "truncated" // the body was cut off
	EndMalformed = "malformed" // the body stopped being JSON
	EndLimit     = "limit"     // the outline reached MaxJSON
)

// Bounds of an outline in bytes, and of what it keeps.
const (
	MaxJSON   = 32 << 10
	MaxStream = 256 << 10

	maxString   = 128
	maxNumber   = 32
	maxPlainKey = 48
	maxDepth    = 64
	reserve     = 2*maxDepth + 64   // closing brackets and EndKey always fit
	softLimit   = MaxJSON - 4<<10   // beyond it lists take no more elements, so that usage, which comes last, fits
	hardLimit   = MaxJSON - reserve // beyond it nothing is added
)

// Append appends the outline of body to dst and returns the longer slice. An empty body has an empty outline; the
// outline of a body that is no JSON is null. At most MaxJSON or, for a stream, MaxStream bytes are added; of a longer
// stream the beginning and the end are kept. It allocates only when dst has no room, and is safe for concurrent use.
func Append(dst []byte, contentType string, body []byte) []byte {
	if len(body) == 0 {
		return dst
	}
	w := writer{dst: dst, start: len(dst)}
	if sse.Is(contentType, body) {
		w.stream(body)
		return w.dst
	}
	w.scan = jsonscan.New(body)
	w.document()
	return w.dst
}

// writer renders one JSON text. Separators need no state: a member or element follows another one unless the byte
// before it opens a container.
type writer struct {
	scan  jsonscan.Scanner
	dst   []byte
	start int // where the JSON text begins in dst

	full    bool   // something was left out for lack of room
	isError bool   // the root calls itself an error
	kind    []byte // the root's type
	lens    lengths
}

// lengths tracks the <key>_len numbers of one frame, so that equal frames can be added up.
type lengths struct {
	count   int
	at, end int // of the last number in dst
	value   int
}

func (w *writer) document() {
	// Some servers wrap an error in a list. Its first element then stands for the whole.
	if w.scan.Array() && !w.scan.Elem() || !w.scan.Object() {
		w.dst = append(w.dst, "null"...)
		return
	}
	w.object(inRoot, 1)
	w.finish()
}

// finish writes EndKey as the last member of the root object, if there is something to say.
func (w *writer) finish() {
	end := ""
	switch {
	case w.scan.State() == jsonscan.Truncated:
		end = EndTruncated
	case w.scan.State() == jsonscan.Malformed:
		end = EndMalformed
	case w.full:
		end = EndLimit
	default:
		return
	}
	w.dst = w.dst[:len(w.dst)-1]
	w.key(EndKey, "")
	w.dst = append(w.dst, '"')
	w.dst = append(w.dst, end...)
	w.dst = append(w.dst, '"', '}')
}

// room reports whether n more bytes fit, and remembers when they do not.
func (w *writer) room(n int) bool {
	if len(w.dst)-w.start+n > hardLimit {
		w.full = true
		return false
	}
	return true
}

func (w *writer) key(key, suffix string) {
	if last := w.dst[len(w.dst)-1]; last != '{' {
		w.dst = append(w.dst, ',')
	}
	w.dst = append(w.dst, '"')
	w.dst = append(w.dst, key...)
	w.dst = append(w.dst, suffix...)
	w.dst = append(w.dst, '"', ':')
}

// object renders the members of the object that the scanner has entered.
func (w *writer) object(in place, depth int) {
	w.dst = append(w.dst, '{')
	for {
		key, ok := w.scan.Key()
		if !ok {
			break
		}
		if r := find(in, key); r != nil {
			w.member(r, depth)
		} else if in == inUsage {
			w.count(key, depth)
		} else {
			w.scan.Skip()
		}
	}
	w.dst = append(w.dst, '}')
}

// elements renders the objects of the array that the scanner has entered; other elements are dropped.
func (w *writer) elements(in place, depth int) {
	w.dst = append(w.dst, '[')
	for w.scan.Elem() {
		if w.scan.Kind() != jsonscan.Object {
			w.scan.Skip()
			continue
		}
		if len(w.dst)-w.start > softLimit {
			w.full = true
			w.scan.Skip()
			continue
		}
		w.scan.Object()
		if w.dst[len(w.dst)-1] != '[' {
			w.dst = append(w.dst, ',')
		}
		w.object(in, depth+1)
	}
	w.dst = append(w.dst, ']')
}

func (w *writer) member(r *rule, depth int) {
	switch kind := w.scan.Kind(); kind {
	case jsonscan.Object, jsonscan.Array:
		w.container(r, kind, depth)
	case jsonscan.String:
		w.text(r)
	default:
		if r.keep&(keepScalar|keepFigure) != 0 || (r.keep&keepInError != 0 && w.isError) {
			w.scalar(r.key)
		} else {
			w.scan.Skip()
		}
	}
}

func (w *writer) container(r *rule, kind jsonscan.Kind, depth int) {
	switch {
	case r.child != nowhere:
		w.enter(r.key, r.child, kind, depth)
	case r.keep&keepLength != 0:
		if raw := w.scan.Skip(); raw != nil {
			w.length(r.key, len(raw))
		}
	case r.keep&keepNonEmpty != 0 && kind == jsonscan.Array:
		w.scan.Array()
		some := false
		for w.scan.Elem() {
			some = true
			w.scan.Skip()
		}
		w.nonEmpty(r.key, some)
	case r.keep&keepShell != 0:
		w.shell(r.key, kind)
	default:
		w.scan.Skip()
	}
}

func (w *writer) enter(key string, in place, kind jsonscan.Kind, depth int) {
	if depth >= maxDepth || !w.room(len(key)+6) {
		w.full = true
		w.scan.Skip()
		return
	}
	w.key(key, "")
	if kind == jsonscan.Object {
		w.scan.Object()
		w.object(in, depth+1)
		return
	}
	w.scan.Array()
	w.elements(in, depth+1)
}

// text renders a string by its rule.
func (w *writer) text(r *rule) {
	if r.keep == 0 {
		w.scan.Skip()
		return
	}
	if r.keep&keepShell != 0 {
		w.shell(r.key, jsonscan.Object)
		return
	}
	raw, escaped, ok := w.scan.Text()
	if !ok {
		return
	}
	switch {
	case r.keep&keepNonEmpty != 0:
		w.nonEmpty(r.key, len(raw) > 0)
	case r.keep&keepLength != 0:
		n := len(raw)
		if escaped {
			n = jsonscan.UnescapedLen(raw)
		}
		w.length(r.key, n)
	case r.keep&keepInError != 0 && !w.isError:
	case r.keep&keepFigure != 0 && !jsonscan.ValidNumber(raw):
	default:
		w.note(r, raw)
		w.word(r.key, raw)
	}
}

// note remembers what the root says about itself.
func (w *writer) note(r *rule, raw []byte) {
	if r.in != inRoot || (r.key != "type" && r.key != "object") {
		return
	}
	if r.key == "type" {
		w.kind = raw
	}
	if string(raw) == "error" {
		w.isError = true
	}
}

func (w *writer) word(key string, raw []byte) {
	if len(raw) > maxString || !jsonscan.ValidText(raw) || !w.room(len(key)+len(raw)+6) {
		return
	}
	w.key(key, "")
	w.dst = append(w.dst, '"')
	w.dst = append(w.dst, raw...)
	w.dst = append(w.dst, '"')
}

// scalar renders a number, a bool or null.
func (w *writer) scalar(key string) {
	raw := w.scan.Skip()
	if raw == nil || len(raw) > maxNumber || !w.room(len(key)+len(raw)+4) {
		return
	}
	if c := raw[0]; (c == '-' || (c >= '0' && c <= '9')) && !jsonscan.ValidNumber(raw) {
		return
	}
	w.key(key, "")
	w.dst = append(w.dst, raw...)
}

func (w *writer) length(key string, n int) {
	if !w.room(len(key) + len(LenSuffix) + 24) {
		return
	}
	w.key(key, LenSuffix)
	w.lens.count++
	w.lens.at, w.lens.value = len(w.dst), n
	w.dst = strconv.AppendInt(w.dst, int64(n), 10)
	w.lens.end = len(w.dst)
}

func (w *writer) nonEmpty(key string, some bool) {
	if !some || w.scan.State() != jsonscan.OK || !w.room(len(key)+len(NonEmptySuffix)+8) {
		return
	}
	w.key(key, NonEmptySuffix)
	w.dst = append(w.dst, "true"...)
}

func (w *writer) shell(key string, kind jsonscan.Kind) {
	if w.scan.Skip() == nil || !w.room(len(key)+6) {
		return
	}
	w.key(key, "")
	if kind == jsonscan.Array {
		w.dst = append(w.dst, "[]"...)
	} else {
		w.dst = append(w.dst, "{}"...)
	}
}

// count renders a member of a usage object: providers add counts often, so any number under a plain key is kept, also
// one written as a string. Objects are entered, as are lists of objects.
func (w *writer) count(key []byte, depth int) {
	kind := w.scan.Kind()
	if !plain(key) || !w.room(len(key)+maxNumber+6) {
		w.scan.Skip()
		return
	}
	switch kind {
	case jsonscan.Object, jsonscan.Array:
		if depth >= maxDepth {
			w.scan.Skip()
			return
		}
		w.plainKey(key)
		if kind == jsonscan.Object {
			w.scan.Object()
			w.object(inUsage, depth+1)
		} else {
			w.scan.Array()
			w.elements(inUsage, depth+1)
		}
	case jsonscan.Number:
		if raw, ok := w.scan.Num(); ok && len(raw) <= maxNumber && jsonscan.ValidNumber(raw) {
			w.plainKey(key)
			w.dst = append(w.dst, raw...)
		}
	case jsonscan.String:
		raw, _, ok := w.scan.Text()
		if ok && len(raw) <= maxNumber && jsonscan.ValidNumber(raw) {
			w.plainKey(key)
			w.dst = append(w.dst, '"')
			w.dst = append(w.dst, raw...)
			w.dst = append(w.dst, '"')
		}
	default:
		w.scan.Skip()
	}
}

func (w *writer) plainKey(key []byte) {
	if w.dst[len(w.dst)-1] != '{' {
		w.dst = append(w.dst, ',')
	}
	w.dst = append(w.dst, '"')
	w.dst = append(w.dst, key...)
	w.dst = append(w.dst, '"', ':')
}

// plain reports whether a key looks like a count's name.
func plain(key []byte) bool {
	if len(key) == 0 || len(key) > maxPlainKey {
		return false
	}
	for _, c := range key {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
