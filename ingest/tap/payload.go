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
)

// maxScratch is the largest buffer a worker keeps between bodies, in bytes.
const maxScratch = 1 << 20

// payload turns a captured body into what the capture mode keeps of it. Body may point into the worker's scratch
// and is valid until the next payload; outline and digest are the payload's own.
func (w *worker) payload(c *call, body *capture, phase event.Phase) *event.Payload {
	p := &event.Payload{
		State: event.PayloadState_PAYLOAD_STATE_ABSENT, WireBytes: body.wire, CapturedBytes: body.captured,
		ContentType: w.clean(body.contentType, 256), ContentEncoding: w.clean(body.encoding, 64),
	}
	if body.wire == 0 {
		return p
	}
	cut := body.captured < body.wire
	if cut {
		w.countCut(body)
		p.State = event.PayloadState_PAYLOAD_STATE_TRUNCATED
	}
	if body.captured == 0 {
		return p
	}
	wire := w.gather(body)
	mode := c.route.mode
	if mode != event.CaptureMode_CAPTURE_MODE_METADATA {
		p.Digest = w.digest(wire)
	}
	plain, state := w.decode(body, wire, cut)
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

// tellingBytes is up to which length a kept body makes its outline superfluous. A longer one may have to be taken out of
// its record when the broker refuses the record's size; then the outline is what is left.
const tellingBytes = 64 << 10

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

// gather puts the captured chunks together in the worker's scratch and gives the chunks back.
func (w *worker) gather(body *capture) []byte {
	if cap(w.body) > maxScratch && body.captured <= maxScratch {
		w.body = nil
	}
	if int64(cap(w.body)) < body.captured {
		w.body = make([]byte, 0, body.captured)
	}
	w.body = body.assemble(w.body[:0])
	body.free(&w.tap.chunks)
	return w.body
}

func (w *worker) digest(wire []byte) []byte {
	mac := hmac.New(sha256.New, w.tap.credential.Key())
	mac.Write(wire)
	return mac.Sum(nil)
}

// decode undoes the content encoding. A body that breaks off is kept as far as it goes; one that is not what its
// encoding says is undecodable.
func (w *worker) decode(body *capture, wire []byte, cut bool) ([]byte, event.PayloadState) {
	state := event.PayloadState_PAYLOAD_STATE_FULL
	if cut {
		state = event.PayloadState_PAYLOAD_STATE_TRUNCATED
	}
	plain, err := content.Decode(body.encoding, wire, body.limit)
	switch {
	case err == nil:
		return plain, state
	case errors.Is(err, content.ErrTooLarge), errors.Is(err, content.ErrTruncated):
		if !cut {
			w.tap.metrics.shortened(bodyLimit)
		}
		return plain, event.PayloadState_PAYLOAD_STATE_TRUNCATED
	}
	w.tap.metrics.shortened(bodyUndecodable)
	return nil, event.PayloadState_PAYLOAD_STATE_UNDECODABLE
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
