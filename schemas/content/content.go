// Package content undoes HTTP content encodings (RFC 9110, section 8.4) of captured bodies.
//
// Captured bodies come from outside and may be cut off or hostile: every stage of decoding is bounded by the
// caller's limit, and what could be decoded of a cut body is returned.
package content

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

var (
	// ErrTooLarge says that the decoded body exceeds the limit. The first bytes up to the limit come with it.
	ErrTooLarge = errors.New("decoded body exceeds the limit")
	// ErrTruncated says that the encoded body ends too early. What could be decoded comes with it.
	ErrTruncated = errors.New("encoded body is truncated")
	// ErrUnsupported says that a content coding is not known, or that there are too many of them.
	ErrUnsupported = errors.New("unsupported content encoding")
	// ErrCorrupt says that the body is not what its coding names. What could be decoded comes with it.
	ErrCorrupt = errors.New("encoded body is corrupt")
)

const (
	maxCodings = 4
	maxWindow  = 8 << 20 // RFC 9659: the window that a zstd content coding may ask for
)

// Decode undoes the codings of a Content-Encoding header value, the last one first: identity, gzip (x-gzip),
// deflate (zlib or raw), br and zstd. limit bounds the result, and every step towards it, in bytes. Without any
// coding the result is body itself. The error is nil or wraps one of this package's; it never quotes the body.
// It is safe for concurrent use.
func Decode(encoding string, body []byte, limit int64) ([]byte, error) {
	var codings [maxCodings]string
	n := 0
	for rest, more := encoding, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, ",")
		part = strings.ToLower(strings.TrimSpace(part))
		if part == "" || part == "identity" {
			continue
		}
		if n == maxCodings {
			return nil, fmt.Errorf("decode content: more than %d codings: %w", maxCodings, ErrUnsupported)
		}
		codings[n] = part
		n++
	}
	var failed error
	for i := n - 1; i >= 0; i-- {
		out, err := undo(codings[i], body, max(limit, 0))
		if err != nil && (!errors.Is(err, ErrTruncated) || i == 0) {
			return out, err
		}
		if err != nil {
			failed = err
		}
		body = out
	}
	if int64(len(body)) > limit {
		return body[:max(limit, 0)], fmt.Errorf("decode content: %w", ErrTooLarge)
	}
	return body, failed
}

func undo(coding string, body []byte, limit int64) ([]byte, error) {
	if len(body) == 0 {
		return nil, nil // an empty body carries no coding, whatever its header says
	}
	r, release, err := open(coding, body)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", name(coding), err)
	}
	defer release()
	out, err := drain(r, len(body), limit)
	if err != nil {
		return out, fmt.Errorf("decode %s: %w", name(coding), err)
	}
	return out, nil
}

// name keeps a header value of a stranger out of error texts.
func name(coding string) string {
	switch coding {
	case "gzip", "x-gzip", "deflate", "br", "zstd":
		return coding
	}
	return "content"
}

func open(coding string, body []byte) (io.Reader, func(), error) {
	src := bytes.NewReader(body)
	none := func() {}
	switch coding {
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(src)
		return r, none, opened(err)
	case "deflate":
		// The registered meaning is zlib, yet raw deflate is in use: the two header bytes tell.
		if len(body) >= 2 && body[0]&0x0f == 8 && (uint(body[0])<<8|uint(body[1]))%31 == 0 {
			r, err := zlib.NewReader(src)
			return r, none, opened(err)
		}
		return flate.NewReader(src), none, nil
	case "br":
		return brotli.NewReader(src), none, nil
	case "zstd":
		r, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, none, opened(err)
		}
		return r, r.Close, nil
	}
	return nil, none, ErrUnsupported
}

// drain reads r to its end, but no more than limit bytes.
func drain(r io.Reader, encoded int, limit int64) ([]byte, error) {
	out := make([]byte, 0, min(limit, max(int64(encoded)*4, 512)))
	for {
		if int64(len(out)) == limit {
			var probe [1]byte
			n, err := io.ReadFull(r, probe[:])
			if n > 0 {
				return out, ErrTooLarge
			}
			return out, classify(err)
		}
		if len(out) == cap(out) {
			grown := make([]byte, len(out), min(limit, int64(cap(out))*2))
			copy(grown, out)
			out = grown
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if err != nil {
			return out, classify(err)
		}
	}
}

// opened classifies the error of a constructor, for which a body that ends within the header is no proper end.
func opened(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrTruncated
	}
	return classify(err)
}

func classify(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	default:
		return ErrCorrupt
	}
}
