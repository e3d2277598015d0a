package front

import (
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// nativeFrame is how much of a body goes into one frame of ClickHouse's native compression.
const nativeFrame = 1 << 20

// negotiate reads how the client wants bodies encoded.
func (q *request) negotiate(r *http.Request, params url.Values) error {
	if v := params.Get("client_protocol_version"); v != "" {
		revision, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return raise(codeBadArguments, "BAD_ARGUMENTS", "client_protocol_version is not a number")
		}
		q.revision = revision
	}
	if truthy(params.Get("compress")) {
		switch method := strings.ToUpper(params.Get("network_compression_method")); method {
		case "", "LZ4", "LZ4HC":
			q.compress = "LZ4"
		case "ZSTD", "NONE":
			q.compress = method
		default:
			return raise(codeUnknownCompress, "UNKNOWN_COMPRESSION_METHOD", "network_compression_method is LZ4, ZSTD or NONE")
		}
	}
	if truthy(params.Get("enable_http_compression")) {
		for _, coding := range []string{"zstd", "gzip", "deflate", "br"} {
			if accepts(r.Header.Get("Accept-Encoding"), coding) {
				q.encoding = coding
				break
			}
		}
	}
	return nil
}

func accepts(header, coding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) == coding && strings.ReplaceAll(quality, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// requestBody undoes the encodings of a request body.
func (q *request) requestBody(r *http.Request) (io.Reader, error) {
	var body io.Reader = r.Body
	var err error
	switch coding := r.Header.Get("Content-Encoding"); coding {
	case "", "identity":
	case "gzip", "x-gzip":
		body, err = gzip.NewReader(body)
	case "deflate":
		body, err = zlib.NewReader(body)
	case "br":
		body = brotli.NewReader(body)
	case "lz4":
		body = lz4.NewReader(body)
	case "zstd":
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(body, zstd.WithDecoderConcurrency(1)); err == nil {
			body = decoder.IOReadCloser()
		}
	default:
		return nil, raise(codeUnknownCompress, "UNKNOWN_COMPRESSION_METHOD", "Content-Encoding is gzip, deflate, br, lz4 or zstd")
	}
	if err != nil {
		return nil, raise(codeIncorrectData, "INCORRECT_DATA", "Request body does not decompress")
	}
	if q.decompress {
		body = newNativeReader(body)
	}
	return body, nil
}

// nativeReader reads ClickHouse's native compression. Only an end between two frames is a clean end.
type nativeReader struct {
	frames *compress.Reader
	source *countingReader
}

func newNativeReader(r io.Reader) *nativeReader {
	source := &countingReader{r: r}
	return &nativeReader{frames: compress.NewReader(source), source: source}
}

// Read implements io.Reader.
func (n *nativeReader) Read(p []byte) (int, error) {
	before := n.source.n
	count, err := n.frames.Read(p)
	switch {
	case err == nil || count > 0:
		return count, nil
	case isEOF(err) && n.source.n == before:
		return 0, io.EOF
	}
	return 0, fmt.Errorf("read compressed frame: %w", io.ErrUnexpectedEOF)
}

type countingReader struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// body writes a response: through native frames, or through a content coding, or plain.
type body struct {
	w      http.ResponseWriter
	coder  io.WriteCloser // nil without a content coding
	frames *compress.Writer
	sent   bool
}

func newBody(w http.ResponseWriter, q *request) (*body, error) {
	b := &body{w: w}
	switch q.compress {
	case "LZ4":
		b.frames = compress.NewWriter(compress.LevelZero, compress.LZ4)
	case "ZSTD":
		b.frames = compress.NewWriter(compress.LevelZero, compress.ZSTD)
	case "NONE":
		b.frames = compress.NewWriter(compress.LevelZero, compress.None)
	}
	var err error
	switch q.encoding {
	case "gzip":
		b.coder = gzip.NewWriter(w)
	case "deflate":
		b.coder = zlib.NewWriter(w)
	case "br":
		b.coder = brotli.NewWriterLevel(w, 1)
	case "zstd":
		b.coder, err = zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	}
	if err != nil {
		return nil, fmt.Errorf("start response encoder: %w", err)
	}
	return b, nil
}

// Write implements io.Writer; the response's headers must be complete before the first call.
func (b *body) Write(p []byte) (int, error) {
	if b.frames == nil {
		return b.raw(p)
	}
	for done := 0; done < len(p); {
		n := min(nativeFrame, len(p)-done)
		if err := b.frames.Compress(p[done : done+n]); err != nil {
			return done, fmt.Errorf("compress response: %w", err)
		}
		if _, err := b.raw(b.frames.Data); err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// raw writes past the native frames: an exception at the end of a body stands outside them.
func (b *body) raw(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b.sent = true
	if b.coder != nil {
		return b.coder.Write(p)
	}
	return b.w.Write(p)
}

// Close ends the content coding.
func (b *body) Close() error {
	if b.coder != nil && b.sent {
		return b.coder.Close()
	}
	return nil
}
