package tap

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/modeltrail/modeltrail/schemas/content"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/outline"
	"github.com/modeltrail/modeltrail/schemas/splice"
)

// maxScratch is the largest buffer a worker keeps between bodies, in bytes.
const maxScratch = 1 << 20

// payload turns a captured body into what the capture mode keeps of it. Body may point into the worker's scratch
// and is valid until the next payload; outline and digest are the payload's own.
func (w *worker) payload(c *call, body *capture, phase event.Phase) *event.Payload {
	p := &event.Payload{
		State: event.PayloadState_PAYLOAD_STATE_ABSENT, WireBytes: body.wire, CapturedBytes: body.captured(),
		ContentType: w.clean(body.contentType, 256), ContentEncoding: w.clean(body.encoding, 64),
	}
	if body.wire == 0 {
		return p
	}
	cut := p.CapturedBytes < p.WireBytes
	if cut {
		w.countCut(body)
		p.State = event.PayloadState_PAYLOAD_STATE_TRUNCATED
	}
	if p.CapturedBytes == 0 {
		return p
	}
	wire, head := w.gather(body)
	mode := c.route.mode
	if w.lean && p.CapturedBytes > leanBytes {
		return w.skeletonOnly(p, body, wire, head)
	}
	if mode != event.CaptureMode_CAPTURE_MODE_METADATA {
		p.Digest = w.digest(wire)
	}
	plain, state := w.plain(body, wire, head)
	if state == event.PayloadState_PAYLOAD_STATE_UNDECODABLE {
		p.State = state
		return p
	}
	switch mode {
	case event.CaptureMode_CAPTURE_MODE_REDACTED:
		p.State = state
		w.keepRedacted(p, body.contentType, plain)
	case event.CaptureMode_CAPTURE_MODE_FULL:
		p.State = state
		w.keepSealed(p, body.contentType, plain, c.known.id, phase)
	}
	if phase == event.Phase_PHASE_REQUEST || !telling(p, mode) {
		p.Outline = w.outline(body.contentType, plain)
	}
	return p
}

// leanBytes is the longest body that is examined while calls bring more than the worker can examine.
const leanBytes = 8 << 10

// skeletonOnly keeps of a body what the decoders read: its outline. The rest is left out, and that is counted.
func (w *worker) skeletonOnly(p *event.Payload, body *capture, wire []byte, head int) *event.Payload {
	w.tap.metrics.shortened(bodyMemory)
	p.State, p.CapturedBytes = event.PayloadState_PAYLOAD_STATE_TRUNCATED, 0
	if plain, state := w.plain(body, wire, head); state != event.PayloadState_PAYLOAD_STATE_UNDECODABLE {
		p.Outline = w.outline(body.contentType, plain)
	}
	return p
}

// tellingBytes is up to which length a kept body makes its outline superfluous. A longer one may have to be taken out of
// its record when the broker refuses the record's size; then the outline is what is left.
const tellingBytes = 96 << 10

// telling reports that a decoder will read the kept body, so that nothing needs its outline.
func telling(p *event.Payload, mode event.CaptureMode) bool {
	return mode == event.CaptureMode_CAPTURE_MODE_REDACTED && len(p.Body) > 0 && len(p.Body) <= tellingBytes
}

func (w *worker) countCut(body *capture) {
	if body.starved {
		w.tap.metrics.shortened(bodyMemory)
		return
	}
	w.tap.metrics.shortened(bodyLimit)
}

// gather puts the captured pieces together in the worker's scratch and gives them back. head is how many bytes of the
// result are the body's beginning; the rest is its end.
func (w *worker) gather(body *capture) (wire []byte, head int) {
	n := body.captured()
	if cap(w.body) > maxScratch && n <= maxScratch {
		w.body = nil
	}
	if int64(cap(w.body)) < n {
		w.body = make([]byte, 0, n)
	}
	w.body, head = body.assemble(w.body[:0])
	body.free(&w.tap.chunks)
	return w.body, head
}

func (w *worker) digest(wire []byte) []byte {
	mac := hmac.New(sha256.New, w.tap.credential.Key())
	mac.Write(wire)
	return mac.Sum(nil)
}

// maxDecoded bounds what an encoded body may become before its beginning and end are kept, in bytes.
const maxDecoded = 2 << 20

// plain returns the body without its content encoding, at most limit bytes of it and the words that name a gap. One that
// breaks off is kept as far as it goes; one that is not what its encoding says is undecodable.
func (w *worker) plain(body *capture, wire []byte, head int) ([]byte, event.PayloadState) {
	if !encoded(body.encoding) {
		if int64(len(wire)) == body.wire {
			return wire, event.PayloadState_PAYLOAD_STATE_FULL
		}
		return w.join(body, wire[:head], wire[head:], body.wire-int64(len(wire))), event.PayloadState_PAYLOAD_STATE_TRUNCATED
	}
	plain, err := content.Decode(body.encoding, wire, max(body.limit, maxDecoded))
	whole := err == nil && int64(len(wire)) == body.wire
	switch {
	case err == nil, errors.Is(err, content.ErrTooLarge), errors.Is(err, content.ErrTruncated):
	default:
		w.tap.metrics.shortened(bodyUndecodable)
		return nil, event.PayloadState_PAYLOAD_STATE_UNDECODABLE
	}
	if whole && int64(len(plain)) <= body.limit {
		return plain, event.PayloadState_PAYLOAD_STATE_FULL
	}
	if int64(len(wire)) == body.wire {
		w.tap.metrics.shortened(bodyLimit)
	}
	if gap := int64(len(plain)) - body.limit; gap > 0 {
		tail := min(body.limit/5, tailBytes)
		if !whole { // the end of what was decoded is not the end of the body
			return plain[:body.limit], event.PayloadState_PAYLOAD_STATE_TRUNCATED
		}
		plain = w.join(body, plain[:body.limit-tail], plain[int64(len(plain))-tail:], gap)
	}
	return plain, event.PayloadState_PAYLOAD_STATE_TRUNCATED
}

// join makes one text of a body's beginning and end.
func (w *worker) join(body *capture, head, tail []byte, omitted int64) []byte {
	if len(tail) == 0 {
		return head
	}
	w.joined = splice.Append(w.joined[:0], body.contentType, head, tail, omitted)
	return w.joined
}

// outline makes the skeleton of a body. Its words come from the caller and the provider, so it is redacted too,
// and left out where that fails.
func (w *worker) outline(contentType string, plain []byte) []byte {
	w.skeleton = outline.Append(w.skeleton[:0], contentType, plain)
	if len(w.skeleton) == 0 {
		return nil
	}
	kind := "text/event-stream" // an outline is JSON, or a stream of events that carry JSON
	if bytes.IndexByte([]byte("{[n"), w.skeleton[0]) >= 0 {
		kind = "application/json"
	}
	out, _, err := w.tap.redactor.Body(kind, w.skeleton)
	if err != nil {
		w.tap.metrics.shortened(bodyRedaction)
		return nil
	}
	return bytes.Clone(out)
}

// keepRedacted fails closed: what cannot be redacted is left out.
func (w *worker) keepRedacted(p *event.Payload, contentType string, plain []byte) {
	if !textual(contentType, plain) {
		p.State = event.PayloadState_PAYLOAD_STATE_BINARY
		return
	}
	out, counts, err := w.tap.redactor.Body(contentType, plain)
	if err != nil {
		w.tap.metrics.shortened(bodyRedaction)
		p.State = event.PayloadState_PAYLOAD_STATE_UNDECODABLE
		return
	}
	p.Body, p.Redactions = out, counts
}

func (w *worker) keepSealed(p *event.Payload, contentType string, plain []byte, id string, phase event.Phase) {
	if !textual(contentType, plain) {
		p.State = event.PayloadState_PAYLOAD_STATE_BINARY
		return
	}
	sealed, err := seal(w.tap.aead, plain, id, phase, w.tap.cfg.EncryptionKeyID)
	if err != nil {
		w.tap.metrics.shortened(bodyEncryption)
		p.State = event.PayloadState_PAYLOAD_STATE_UNDECODABLE
		return
	}
	p.Body, p.KeyId = sealed, w.tap.cfg.EncryptionKeyID
}

// textual reports whether a body is text by its media type, or by its bytes when it names none.
func textual(contentType string, body []byte) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(strings.ToLower(contentType), ";")
		media = strings.TrimSpace(media)
	}
	switch {
	case media == "":
		head := body[:min(len(body), 4<<10)]
		return bytes.IndexByte(head, 0) < 0 && utf8.Valid(wholeRunes(head))
	case strings.HasPrefix(media, "text/"), strings.HasSuffix(media, "+json"), strings.HasSuffix(media, "+xml"):
		return true
	}
	switch media {
	case "application/json", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-seq",
		"application/jsonlines", "application/x-www-form-urlencoded", "application/xml", "application/yaml",
		"application/graphql":
		return true
	}
	return false
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
