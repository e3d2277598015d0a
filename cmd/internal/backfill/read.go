package backfill

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	parquet "github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
	"github.com/klauspost/compress/zstd"
)

// Limits of what is read.
const (
	maxLine   = 8 << 20 // bytes of one line
	batchRows = 1024    // rows of Parquet in memory
)

var (
	errLongLine = fmt.Errorf("the line is longer than %d bytes", maxLine)
	errEmpty    = errors.New("the line is empty")
)

// each is called with every line. problem is set when the line could not even be read; text is then its beginning.
type each func(number uint64, text []byte, problem error, at int64) error

// digest hashes a file and returns its size; the file stands at its start afterwards.
func digest(file *os.File) (hash string, size int64, err error) {
	if _, err = file.Seek(0, io.SeekStart); err != nil {
		return "", 0, fmt.Errorf("read archive: %w", err)
	}
	sum := sha256.New()
	if size, err = io.Copy(sum, file); err != nil {
		return "", 0, fmt.Errorf("read archive: %w", err)
	}
	if _, err = file.Seek(0, io.SeekStart); err != nil {
		return "", 0, fmt.Errorf("read archive: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), size, nil
}

// open finds out how a file is written and returns what reads it.
func open(file *os.File, format Format, size int64) (func(context.Context, each) error, error) {
	var head [4]byte
	n, err := file.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	isParquet := bytes.Equal(head[:n], []byte("PAR1"))
	switch {
	case format == FormatParquet && !isParquet:
		return nil, errors.New("read archive: the file is not Parquet")
	case isParquet && format != FormatJSONL:
		return func(ctx context.Context, f each) error { return readParquet(ctx, file, size, f) }, nil
	}
	counted := &counter{r: file}
	var in io.Reader = counted
	switch {
	case bytes.HasPrefix(head[:n], []byte{0x1f, 0x8b}):
		if in, err = gzip.NewReader(counted); err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
	case bytes.HasPrefix(head[:n], []byte{0x28, 0xb5, 0x2f, 0xfd}):
		decoder, err := zstd.NewReader(counted, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("read zstd: %w", err)
		}
		return func(ctx context.Context, f each) error {
			defer decoder.Close()
			return readLines(ctx, decoder, counted, f)
		}, nil
	}
	return func(ctx context.Context, f each) error { return readLines(ctx, in, counted, f) }, nil
}

// counter counts what was read of a file.
type counter struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func readLines(ctx context.Context, in io.Reader, at *counter, f each) error {
	r := bufio.NewReaderSize(in, 256<<10)
	for number := uint64(1); ctx.Err() == nil; number++ {
		line, problem, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read line %d: %w", number, err)
		}
		last := err != nil
		if last && len(line) == 0 && problem == nil {
			return nil
		}
		if problem == nil && len(line) == 0 {
			problem = errEmpty
		}
		if !errors.Is(problem, errEmpty) { // an empty line is counted, so that the others keep their numbers
			if err := f(number, line, problem, at.n); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
	return ctx.Err()
}

// readLine reads up to the next line feed. A line that is too long is skipped to its end and reported as a problem.
func readLine(r *bufio.Reader) (line []byte, problem, err error) {
	for {
		piece, err := r.ReadSlice('\n')
		if len(line)+len(piece) <= maxLine {
			line = append(line, piece...)
		} else {
			problem = errLongLine
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if problem != nil {
				line = line[:min(len(line), 1024)]
			}
			return bytes.TrimSpace(line), problem, err
		}
	}
}

// readParquet turns every row into a line of JSON; a row's number is its line.
func readParquet(ctx context.Context, file *os.File, size int64, f each) error {
	reader, err := parquet.NewParquetReader(file)
	if err != nil {
		return fmt.Errorf("read parquet: %w", err)
	}
	defer func() { _ = reader.Close() }()
	rows, err := pqarrow.NewFileReader(reader, pqarrow.ArrowReadProperties{BatchSize: batchRows}, memory.DefaultAllocator)
	if err != nil {
		return fmt.Errorf("read parquet: %w", err)
	}
	records, err := rows.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return fmt.Errorf("read parquet: %w", err)
	}
	defer records.Release()
	total, number := reader.NumRows(), uint64(0)
	for records.Next() {
		table := array.RecordToStructArray(records.Record())
		for i := range table.Len() {
			number++
			line, err := json.Marshal(table.GetOneForMarshal(i))
			if err = f(number, line, err, size*int64(number)/max(total, 1)); err != nil { //nolint:gosec // a count of rows
				table.Release()
				return err
			}
		}
		table.Release()
	}
	if err := records.Err(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read parquet after row %d: %w", number, err)
	}
	return ctx.Err()
}
