// Package redact removes secrets and personal data from bodies, header values, paths and query strings before
// anything of a call becomes durable.
//
// It fails closed: when Body returns an error the caller MUST drop the body. What is replaced becomes
// [REDACTED:<rule>]; everything else stays byte for byte as it was, a valid JSON body stays valid and a stream
// keeps its frames. A body is redacted until another pass finds nothing, so redaction is idempotent by construction.
//
// The way of a body: one pass over its bytes, 64 at a time, finds long tokens, groups of digits and a few words
// (block.go, prefilter.go). In long tokens, and before those to which something is assigned, the first three bytes of every
// rule's keywords are looked up, and the keyword is judged by its surroundings and by how the rule's expression begins
// (gate.go, keywords.go, lead.go); only then does the expression run, over the token or the few bytes around it
// (token.go). Numbers are counted before their groups are read (number.go). Escapes and streams are read
// through views that remember where each byte came from (view.go, stream.go). A clean body costs no allocation.
package redact

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Errors of Body. Each means: drop the body.
var (
	ErrNotText  = errors.New("body is not text")
	ErrTooLarge = errors.New("body is larger than max_body_bytes")
	ErrUnstable = errors.New("body cannot be cleaned")
	ErrInternal = errors.New("redaction broke off")
)

const (
	maxLayers = 4 // escapes inside escapes that are resolved
	maxPasses = 8
)

// Redactor replaces secrets and personal data. It is safe for concurrent use.
type Redactor struct {
	cfg      Config
	set      *ruleSet
	inner    *Redactor // for decoded base64: secrets only; nil in itself
	disabled map[string]bool
	pool     sync.Pool

	email, phone, card, iban bool
	numbers                  bool // one of phone, card, iban
}

// New reads the rules that cfg selects. Their expressions are compiled when first needed.
func New(cfg Config) (*Redactor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check redaction config: %w", err)
	}
	if cfg.MaxBodyBytes == 0 {
		cfg.MaxBodyBytes = DefaultConfig().MaxBodyBytes
	}
	set, err := newRuleSet(cfg.DisableRules)
	if err != nil {
		return nil, err
	}
	r := newRedactor(cfg, set)
	if cfg.Secrets {
		r.inner = newRedactor(Config{Secrets: true, Allow: cfg.Allow, DisableRules: cfg.DisableRules, MaxBodyBytes: cfg.MaxBodyBytes}, set)
	}
	return r, nil
}

func newRedactor(cfg Config, set *ruleSet) *Redactor {
	r := &Redactor{
		cfg: cfg, set: set, disabled: map[string]bool{},
		email: slices.Contains(cfg.PII, PIIEmail), phone: slices.Contains(cfg.PII, PIIPhone),
		card: slices.Contains(cfg.PII, PIICard), iban: slices.Contains(cfg.PII, PIIIBAN),
	}
	r.numbers = r.phone || r.card || r.iban
	for _, name := range cfg.DisableRules {
		r.disabled[name] = true
	}
	r.pool.New = func() any { return newScanner(r) }
	return r
}

func (r *Redactor) take() *scanner { return r.pool.Get().(*scanner) }

func (r *Redactor) give(sc *scanner) {
	sc.reset()
	r.pool.Put(sc)
}

// Body redacts an identity-encoded body: JSON, SSE of JSON, NDJSON, form-encoded or plain text, possibly cut
// short. It returns body itself when nothing matched and never changes it. On an error the caller MUST drop the
// body; out is nil then.
func (r *Redactor) Body(contentType string, body []byte) (out []byte, counts []*event.Redaction, err error) {
	if len(body) == 0 {
		return body, nil, nil
	}
	if len(body) > r.cfg.MaxBodyBytes {
		return nil, nil, ErrTooLarge
	}
	return r.clean(classify(contentType, body), body)
}

// clean repeats find and splice until nothing is found.
func (r *Redactor) clean(k kind, body []byte) (out []byte, counts []*event.Redaction, err error) {
	defer func() {
		if p := recover(); p != nil { // a bug must cost one body, never a secret or the process
			out, counts, err = nil, nil, ErrInternal
		}
	}()
	sc := r.take()
	out = body
	for range maxPasses {
		text, odd := inspect(out)
		if !text {
			r.give(sc)
			return nil, nil, ErrNotText
		}
		cuts, ok := sc.find(k, out, odd)
		if !ok {
			return nil, nil, ErrUnstable
		}
		if len(cuts) == 0 {
			r.give(sc)
			return out, counts, nil
		}
		counts = tally(counts, cuts)
		out = splice(out, cuts)
	}
	return nil, nil, ErrUnstable
}

// classify finds how a body is written, from the body first: a label may be wrong.
func classify(contentType string, body []byte) kind {
	head := bytes.TrimLeft(body, " \t\r\n\ufeff")
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	switch {
	case strings.EqualFold(media, "text/event-stream"):
		return kindSSE
	case len(head) == 0:
		return kindText
	case head[0] == '{' || head[0] == '[' || head[0] == '"':
		return kindJSON
	case bytes.HasPrefix(head, []byte("data:")) || bytes.HasPrefix(head, []byte("event:")) || head[0] == ':':
		return kindSSE
	case strings.EqualFold(media, "application/x-www-form-urlencoded"):
		return kindForm
	case (head[0] == '-' || is(head[0], classDigit)) && len(bytes.Trim(head, "+-.eE0123456789 \t\r\n")) == 0:
		return kindJSON
	}
	return kindText
}

// find returns what is to be cut from body, sorted; odd is what inspect says of it. ok is false when something was found
// that cannot be cut.
func (sc *scanner) find(k kind, body []byte, odd bool) (cuts []cut, ok bool) {
	sc.cuts = sc.cuts[:0]
	if k == kindForm {
		sc.formValues(body)
	}
	sc.readLayers(k, body, odd)
	if k == kindSSE || k == kindJSON {
		sc.readStream(k, body)
	}
	if len(sc.cuts) == 0 {
		return nil, true
	}
	cuts = clip(k, body, merge(sc.cuts))
	return cuts, len(cuts) > 0
}

// readLayers scans body, then what it says with its escapes resolved, then again for escapes inside escapes.
func (sc *scanner) readLayers(k kind, body []byte, odd bool) {
	ways := backslashes
	if k == kindForm || k == kindPath {
		ways = percents
	}
	text := body
	var parent *view
	for depth := 0; ; depth++ {
		sent := depth == 0 && (k == kindJSON || k == kindSSE)
		escaped := bytes.IndexByte(text, '\\') >= 0
		encoded := ways == percents && depth == 0 && bytes.ContainsAny(text, "%+")
		switch {
		case depth == 0 && !escaped && !encoded && !odd, depth > 0 && !escaped && !encoded:
			sc.take(text, parent)
			return
		case ways == backslashes && harmless(text) && (depth > 0 || !odd) && !sc.suspect(text, sent):
			return
		case sent:
			// what it says is scanned instead
		default:
			sc.take(text, parent)
		}
		if depth == maxLayers {
			return
		}
		v := &sc.layers[depth]
		v.reset()
		v.parent = parent
		if !v.decode(text, 0, ways) && ways == backslashes && (depth > 0 || k == kindText) {
			return // scanned already
		}
		ways = backslashes
		text, parent = v.buf, v
	}
}

// harmless reports that all escapes of text are white space, quotes and backslashes or none at all: they part tokens
// in the text as they do in what it says, so text can be judged without resolving them.
func harmless(text []byte) bool {
	for i := bytes.IndexByte(text, '\\'); i >= 0; {
		i++
		if i >= len(text) {
			return true
		}
		if text[i] == 'u' || text[i] == '/' || text[i] == '\'' {
			return false
		}
		// An escaped backslash may begin an escape of the next layer: \\u0073.
		next := bytes.IndexByte(text[i:], '\\')
		if next < 0 {
			return true
		}
		i += next
	}
	return true
}

// suspect says whether a text with its escapes still in it may hold something; sent is JSON as it came.
func (sc *scanner) suspect(text []byte, sent bool) bool {
	sc.probe, sc.sent = true, sent
	found := len(sc.scan(text)) > 0
	sc.probe, sc.sent = false, false
	return found
}

// take scans text and turns what it finds into cuts of the body. v is the view that text belongs to, nil for the
// body itself.
func (sc *scanner) take(text []byte, v *view) {
	for _, m := range sc.scan(text) {
		if v == nil {
			sc.cuts = append(sc.cuts, cut{s: m.s, e: m.e, rule: m.rule, mark: true})
			continue
		}
		sc.pieces = v.pieces(m.s, m.e, sc.pieces[:0])
		for _, p := range sc.pieces {
			sc.cuts = append(sc.cuts, cut{s: p.s, e: p.e, rule: m.rule, mark: true})
		}
	}
}

// readStream scans the texts that several frames tell together. What lies in later frames is removed without a mark.
func (sc *scanner) readStream(k kind, body []byte) {
	if k == kindJSON && !manyFrames(body) {
		return
	}
	sc.stream.reset(1 << 20)
	sc.stream.collect(k, body)
	for i := range sc.stream.used {
		j := &sc.stream.joined[i]
		if j.frames < 2 {
			continue
		}
		text, v := j.view.buf, &j.view
		for depth := 0; ; depth++ {
			for _, m := range sc.scan(text) {
				sc.pieces = v.pieces(m.s, m.e, sc.pieces[:0])
				for n, p := range sc.pieces {
					sc.cuts = append(sc.cuts, cut{s: p.s, e: p.e, rule: m.rule, mark: n == 0})
				}
			}
			if depth == maxLayers || bytes.IndexByte(text, '\\') < 0 {
				break
			}
			next := &sc.layers[depth]
			next.reset()
			next.parent = v
			if !next.decode(text, 0, backslashes) {
				break
			}
			text, v = next.buf, next
		}
	}
}

// manyFrames says that a JSON body is a top-level array of objects or has several lines that begin as objects.
func manyFrames(body []byte) bool {
	head := bytes.TrimLeft(body, " \t\r\n")
	if len(head) > 0 && head[0] == '[' {
		head = bytes.TrimLeft(head[1:], " \t\r\n")
		return len(head) > 0 && head[0] == '{'
	}
	return bytes.Contains(head, []byte("\n{"))
}

// tally adds the marks of cuts to counts, sorted by rule.
func tally(counts []*event.Redaction, cuts []cut) []*event.Redaction {
	for _, c := range cuts {
		if !c.mark {
			continue
		}
		i, ok := slices.BinarySearchFunc(counts, c.rule, func(r *event.Redaction, rule string) int {
			return strings.Compare(r.GetRule(), rule)
		})
		if !ok {
			counts = slices.Insert(counts, i, &event.Redaction{Rule: c.rule})
		}
		counts[i].Count++
	}
	return counts
}
