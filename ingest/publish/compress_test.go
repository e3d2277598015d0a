package publish

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestManyBatchesAreCompressedAtOnceAndComeBackWhole(t *testing.T) {
	c, err := newCompressor()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				src := bytes.Repeat(fmt.Appendf(nil, "batch %d of %d ", j, i), 200)
				packed, codec := c.Compress(&bytes.Buffer{}, src)
				if codec != kgo.CodecZstd || len(packed) >= len(src) {
					t.Errorf("codec %v, %d bytes of %d", codec, len(packed), len(src))
				}
				plain, err := kgo.DefaultDecompressor().Decompress(packed, codec)
				if err != nil || !bytes.Equal(plain, src) {
					t.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
	src := []byte("for a broker that knows no zstd")
	if got, codec := c.Compress(&bytes.Buffer{}, src, kgo.CompressDisableZstd); codec != kgo.CodecNone || !bytes.Equal(got, src) {
		t.Errorf("without zstd: codec %v, %q", codec, got)
	}
	if c.waiting != 0 || !c.rest() || c.running {
		t.Errorf("%d waiting, running %v", c.waiting, c.running)
	}
}
