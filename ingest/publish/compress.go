package publish

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/ingest/background"
)

// compressor runs zstd on a thread of lower weight than those of calls: it is most of what publishing costs. The thread is
// started when there is something to compress and ends when there was nothing for a while. One batch is compressed at a
// time, in the order of asking, and always by the same encoder: the collector empties pools, and a new encoder's tables
// are larger than most batches. It implements kgo.Compressor.
type compressor struct {
	zstd *zstd.Encoder
	jobs chan batch

	mu      sync.Mutex
	waiting int // batches asked for and not answered
	running bool
}

type batch struct {
	dst  *bytes.Buffer
	src  []byte
	done chan []byte
}

// idle is how long the thread outlives its last batch.
const idle = 200 * time.Millisecond

// zstdWindow is how far back zstd looks, in bytes. Kafka's clients use the same, so that a batch costs a reader little memory.
const zstdWindow = 64 << 10

// newCompressor returns one of the fastest level: half the work of the default for a few percent more bytes.
func newCompressor() (*compressor, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
	if err != nil {
		return nil, fmt.Errorf("create zstd encoder: %w", err)
	}
	return &compressor{zstd: encoder, jobs: make(chan batch)}, nil
}

// Compress implements kgo.Compressor. It is safe for concurrent use. Brokers that know no zstd get the batch as it is.
func (c *compressor) Compress(dst *bytes.Buffer, src []byte, flags ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	if slices.Contains(flags, kgo.CompressDisableZstd) {
		return src, kgo.CodecNone
	}
	c.mu.Lock()
	c.waiting++
	if !c.running {
		c.running = true
		go c.run()
	}
	c.mu.Unlock()
	job := batch{dst: dst, src: src, done: make(chan []byte, 1)}
	c.jobs <- job
	return <-job.done, kgo.CodecZstd
}

func (c *compressor) run() {
	background.Lower()
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		select {
		case job := <-c.jobs:
			if most := c.zstd.MaxEncodedSize(len(job.src)); most > job.dst.Cap() {
				job.dst.Grow(most)
			}
			data := c.zstd.EncodeAll(job.src, job.dst.Bytes())
			c.mu.Lock()
			c.waiting--
			c.mu.Unlock()
			job.done <- data
			timer.Reset(idle)
		case <-timer.C:
			if c.rest() {
				return
			}
			timer.Reset(idle)
		}
	}
}

// rest reports that the thread may end: nobody waits for it.
func (c *compressor) rest() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting > 0 {
		return false
	}
	c.running = false
	return true
}
