package publish

import (
	"bytes"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/ingest/background"
)

// compressor runs the client's zstd on a thread of lower weight than those of calls: it is most of what publishing costs.
// The thread is started when there is something to compress and ends when there was nothing for a while. One batch is
// compressed at a time, in the order of asking. It implements kgo.Compressor.
type compressor struct {
	zstd kgo.Compressor
	jobs chan batch

	mu      sync.Mutex
	waiting int // batches asked for and not answered
	running bool
}

type batch struct {
	dst   *bytes.Buffer
	src   []byte
	flags []kgo.CompressFlag
	done  chan compressed
}

type compressed struct {
	data  []byte
	codec kgo.CompressionCodecType
}

// idle is how long the thread outlives its last batch.
const idle = 200 * time.Millisecond

// newCompressor returns a compressor with the codec at the given level.
func newCompressor(codec kgo.CompressionCodec) (*compressor, error) {
	zstd, err := kgo.DefaultCompressor(codec)
	if err != nil {
		return nil, err
	}
	return &compressor{zstd: zstd, jobs: make(chan batch)}, nil
}

// Compress implements kgo.Compressor. It is safe for concurrent use.
func (c *compressor) Compress(dst *bytes.Buffer, src []byte, flags ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	c.mu.Lock()
	c.waiting++
	if !c.running {
		c.running = true
		go c.run()
	}
	c.mu.Unlock()
	job := batch{dst: dst, src: src, flags: flags, done: make(chan compressed, 1)}
	c.jobs <- job
	out := <-job.done
	return out.data, out.codec
}

func (c *compressor) run() {
	background.Lower()
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		select {
		case job := <-c.jobs:
			data, codec := c.zstd.Compress(job.dst, job.src, job.flags...)
			c.mu.Lock()
			c.waiting--
			c.mu.Unlock()
			job.done <- compressed{data, codec}
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
