package content_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/modeltrail/modeltrail/schemas/content"
)

func encode(t testing.TB, coding string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw deflate":
		w, err = flate.NewWriter(&b, 6)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var codings = []string{"gzip", "deflate", "raw deflate", "br", "zstd"}

func header(coding string) string { return strings.TrimPrefix(coding, "raw ") }

// prose does not compress into one block, so that a cut leaves something to decode.
func prose() []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < 300<<10; i++ {
		b.WriteString("invoice ")
		b.WriteString(strings.Repeat(string(rune('a'+i*i%26)), i%17))
		b.WriteByte(byte(i * 7919 >> 3))
	}
	return b.Bytes()
}

func TestDecodeUndoesEveryCoding(t *testing.T) {
	want := prose()
	for _, coding := range codings {
		got, err := content.Decode(header(coding), encode(t, coding, want), 1<<20)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", coding, len(got), err)
		}
	}
}

func TestDecodeUndoesStackedCodingsInReverse(t *testing.T) {
	want := prose()
	for _, name := range []string{"gzip, br", "GZIP ,BR", "identity, gzip,, br"} {
		got, err := content.Decode(name, encode(t, "br", encode(t, "gzip", want)), 1<<20)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestDecodeWithoutCodingReturnsTheBody(t *testing.T) {
	body := []byte("plain")
	for _, name := range []string{"", "identity", " Identity "} {
		got, err := content.Decode(name, body, 10)
		if err != nil || &got[0] != &body[0] {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	if got, err := content.Decode("", body, 3); !errors.Is(err, content.ErrTooLarge) || string(got) != "pla" {
		t.Errorf("over the limit: %q, %v", got, err)
	}
}

func TestDecodeStopsABombAtTheLimit(t *testing.T) {
	zeros := make([]byte, 2<<20)
	for _, coding := range codings {
		got, err := content.Decode(header(coding), encode(t, coding, zeros), 64<<10)
		if !errors.Is(err, content.ErrTooLarge) || len(got) != 64<<10 || cap(got) > 64<<10 {
			t.Errorf("%s: %d bytes of %d, %v", coding, len(got), cap(got), err)
		}
	}
	inner := encode(t, "gzip", encode(t, "gzip", zeros))
	if got, err := content.Decode("gzip, gzip", inner, 64<<10); !errors.Is(err, content.ErrTooLarge) || len(got) != 64<<10 {
		t.Errorf("stacked: %d bytes, %v", len(got), err)
	}
}

func TestDecodeAcceptsABodyOfExactlyTheLimit(t *testing.T) {
	want := prose()
	for _, coding := range codings {
		got, err := content.Decode(header(coding), encode(t, coding, want), int64(len(want)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", coding, len(got), err)
		}
	}
}

func TestDecodeOfATruncatedBodyKeepsItsBeginning(t *testing.T) {
	want := prose()
	for _, coding := range codings {
		wire := encode(t, coding, want)
		got, err := content.Decode(header(coding), wire[:len(wire)*3/4], 1<<20)
		if !errors.Is(err, content.ErrTruncated) {
			t.Errorf("%s: %v", coding, err)
		}
		if len(got) == 0 || !bytes.HasPrefix(want, got) {
			t.Errorf("%s: %d bytes that are not the beginning", coding, len(got))
		}
		if _, err := content.Decode(header(coding), wire[:1], 1<<20); !errors.Is(err, content.ErrTruncated) {
			t.Errorf("%s: one byte: %v", coding, err)
		}
	}
	stacked := encode(t, "br", encode(t, "gzip", want))
	got, err := content.Decode("gzip, br", stacked[:len(stacked)/2], 1<<20)
	if !errors.Is(err, content.ErrTruncated) || len(got) == 0 || !bytes.HasPrefix(want, got) {
		t.Errorf("stacked: %d bytes, %v", len(got), err)
	}
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, name := range []string{"compress", "gzip, secret-token", strings.Repeat("gzip,", 5)} {
		_, err := content.Decode(name, []byte("x"), 10)
		if !errors.Is(err, content.ErrUnsupported) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, coding := range codings {
		_, err := content.Decode(header(coding), []byte("\xff\xfeThis is no compressed body at all."), 1<<20)
		if !errors.Is(err, content.ErrCorrupt) && !errors.Is(err, content.ErrTruncated) {
			t.Errorf("%s: %v", coding, err)
		}
	}
}

func TestDecodeOfAnEmptyBodyIsEmpty(t *testing.T) {
	for _, coding := range codings {
		if got, err := content.Decode(header(coding), nil, 10); err != nil || len(got) != 0 {
			t.Errorf("%s: %q, %v", coding, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, coding := range codings {
		f.Add(header(coding), encode(f, coding, []byte("The invoice is due.")))
	}
	f.Add("gzip, br", encode(f, "br", encode(f, "gzip", []byte("stacked"))))
	f.Fuzz(func(t *testing.T, encoding string, body []byte) {
		const limit = 4 << 10
		got, err := content.Decode(encoding, body, limit)
		if len(got) > limit {
			t.Fatalf("%d bytes exceed the limit", len(got))
		}
		known := err == nil
		for _, want := range []error{content.ErrTooLarge, content.ErrTruncated, content.ErrCorrupt, content.ErrUnsupported} {
			known = known || errors.Is(err, want)
		}
		if !known {
			t.Fatalf("unknown error %v", err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	body := bytes.Repeat([]byte(`data: {"choices":[{"delta":{"content":"word"}}]}`+"\n\n"), 40)
	for _, coding := range codings {
		wire := encode(b, coding, body)
		b.Run(coding, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := content.Decode(header(coding), wire, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
