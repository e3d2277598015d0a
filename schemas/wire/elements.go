package wire

import "github.com/modeltrail/modeltrail/schemas/event"

func (d *Decoder) readPayload(b []byte, p *event.Payload) bool {
	c := cursor{rest: b}
	for c.next() {
		f, ok := &c.field, true
		switch f.number {
		case 1:
			ok = number32(f, &p.State)
		case 2:
			ok = f.raw(&p.Body)
		case 3:
			ok = f.raw(&p.Outline)
		case 4:
			ok = f.text(&p.ContentType)
		case 5:
			ok = f.text(&p.ContentEncoding)
		case 6:
			ok = number64(f, &p.WireBytes)
		case 7:
			ok = number64(f, &p.CapturedBytes)
		case 8:
			ok = f.raw(&p.Digest)
		case 9:
			ok = d.readRedaction(f, p)
		case 10:
			ok = f.text(&p.KeyId)
		}
		if !ok {
			return false
		}
	}
	return !c.bad
}

// element counts one repeated message; the count is bounded before anything is allocated.
func (d *Decoder) element(f *field) bool {
	d.elements++
	return f.isBytes() && d.elements <= MaxElements
}

func (d *Decoder) readAttribute(f *field, to *[]*event.Attribute) bool {
	if !d.element(f) {
		return false
	}
	var a *event.Attribute
	*to, a = grow(*to)
	a.Key, a.Value = "", ""
	c := cursor{rest: f.data}
	for c.next() {
		f, ok := &c.field, true
		switch f.number {
		case 1:
			ok = f.text(&a.Key)
		case 2:
			ok = f.text(&a.Value)
		}
		if !ok {
			return false
		}
	}
	return !c.bad
}

func (d *Decoder) readRedaction(f *field, p *event.Payload) bool {
	if !d.element(f) {
		return false
	}
	var r *event.Redaction
	p.Redactions, r = grow(p.Redactions)
	r.Rule, r.Count = "", 0
	c := cursor{rest: f.data}
	for c.next() {
		f, ok := &c.field, true
		switch f.number {
		case 1:
			ok = f.text(&r.Rule)
		case 2:
			ok = number32(f, &r.Count)
		}
		if !ok {
			return false
		}
	}
	return !c.bad
}

func (d *Decoder) readChunk(f *field, r *event.Response) bool {
	if !d.element(f) {
		return false
	}
	var chunk *event.ChunkMark
	r.Chunks, chunk = grow(r.Chunks)
	chunk.Frames, chunk.AtUnixNano = 0, 0
	c := cursor{rest: f.data}
	for c.next() {
		f, ok := &c.field, true
		switch f.number {
		case 1:
			ok = number32(f, &chunk.Frames)
		case 2:
			ok = f.fixed(&chunk.AtUnixNano)
		}
		if !ok {
			return false
		}
	}
	return !c.bad
}
