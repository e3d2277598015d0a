package front

import (
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/compress"
	chproto "github.com/ClickHouse/ch-go/proto"
)

func TestNativeReader_CutBetweenOrInsideFrames_EndsOrFails(t *testing.T) {
	var whole []byte
	var ends []int
	w := compress.NewWriter(compress.LevelZero, compress.LZ4)
	for i := range 3 {
		if err := w.Compress(bytes.Repeat([]byte{byte(i)}, 1000)); err != nil {
			t.Fatal(err)
		}
		whole = append(whole, w.Data...)
		ends = append(ends, len(whole))
	}
	for cut := range len(whole) + 1 {
		out, err := io.ReadAll(newNativeReader(bytes.NewReader(whole[:cut])))
		complete := cut == 0
		for i, end := range ends {
			if cut == end {
				complete = true
				if len(out) != 1000*(i+1) {
					t.Fatalf("%d bytes of %d frames", len(out), i+1)
				}
			}
		}
		if complete != (err == nil) || !complete && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d of %d: %v", cut, len(whole), err)
		}
	}
}

func TestReframe_TruncatedBlock_IsAnError(t *testing.T) {
	var block chproto.Buffer
	numbers := chproto.ColUInt64{1, 2, 3}
	b := chproto.Block{Columns: 1, Rows: 3}
	if err := b.EncodeRawBlock(&block, 0, []chproto.InputColumn{{Name: "n", Data: numbers}}); err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < len(block.Buf); cut++ {
		var out chproto.Buffer
		if err := reframe(block.Buf[:cut], 54460, &out); err == nil {
			t.Fatalf("cut at %d of %d went through", cut, len(block.Buf))
		}
	}
	var out chproto.Buffer
	if err := reframe(append(append([]byte{}, block.Buf...), block.Buf...), 54460, &out); err != nil {
		t.Fatal(err)
	}
	if want := 2 * (len(block.Buf) + 8 + 1); len(out.Buf) != want { // block info of 8 bytes, one flag per column
		t.Errorf("two blocks became %d bytes, want %d", len(out.Buf), want)
	}
}

func TestAccepts_ReadsQualities(t *testing.T) {
	for header, want := range map[string]bool{"gzip": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "gzipped": false, "": false} {
		if accepts(header, "gzip") != want {
			t.Errorf("%q: got %v", header, !want)
		}
	}
}

func TestBody_EveryEncoding_DecodesAgain(t *testing.T) {
	data := []byte(strings.Repeat("native block ", 200000))
	for _, native := range []string{"", "LZ4", "ZSTD", "NONE"} {
		for _, coding := range []string{"", "gzip", "deflate", "br", "zstd"} {
			w := httptest.NewRecorder()
			b, err := newBody(w, &request{compress: native, encoding: coding})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("POST", "/", w.Body)
			r.Header.Set("Content-Encoding", coding)
			back, err := (&request{decompress: native != ""}).requestBody(r)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(back); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s in %s: %d bytes, %v", native, coding, len(got), err)
			}
		}
	}
}
