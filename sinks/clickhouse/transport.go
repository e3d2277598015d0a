package clickhouse

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
)

// insertHTTP sends the block's own memory as the body of an INSERT ... FORMAT Native.
func (w *Writer) insertHTTP(ctx context.Context, b *block, settings clickhousego.Settings) error {
	body := w.body(b, settings)
	if w.cfg.Compression != CompressionNone {
		ctx = context.WithValue(ctx, compressedKey{}, true)
		pr, pw := io.Pipe()
		defer func() { _ = pr.Close() }() // ends the writer when the request ended early
		source := body
		go func() { pw.CloseWithError(compressFrames(pw, source, w.cfg.Compression)) }()
		body = pr
	}
	ctx = clickhousego.Context(ctx, clickhousego.WithSettings(settings))
	return w.conn.InsertFormat(ctx, "Native", b.insertQuery(w.cfg.Database), body)
}

// body is the block as it goes out, with the faults that were asked for.
func (w *Writer) body(b *block, settings clickhousego.Settings) io.Reader {
	parts := b.native()
	if w.faults.Cut != nil {
		parts = nil
		from := 0
		for _, to := range append(w.faults.Cut(b.rows()), b.rows()) {
			parts, from = append(parts, b.slice([]run{{from, to}}).native()...), to
		}
		settings["max_insert_block_size"], settings["input_format_parallel_parsing"] = 1, 1
		settings["min_insert_block_size_rows"], settings["min_insert_block_size_bytes"] = 1, 1
	}
	if w.faults.Midway == nil {
		return &partsReader{parts: parts}
	}
	half, sent := 0, 0
	for _, p := range parts {
		half += len(p)
	}
	for i, p := range parts {
		if sent += len(p); 2*sent >= half {
			return io.MultiReader(&partsReader{parts: parts[:i+1]}, passing(w.faults.Midway), &partsReader{parts: parts[i+1:]})
		}
	}
	return &partsReader{parts: parts}
}

// passing is an empty stretch of a stream that calls a function when it is read.
type passing func()

// Read implements io.Reader.
func (p passing) Read([]byte) (int, error) {
	p()
	return 0, io.EOF
}

// frameBytes is the size of one frame before compression, the server's own default.
const frameBytes = 1 << 20

func compressFrames(w io.Writer, r io.Reader, method string) error {
	kind := compress.LZ4
	if method == CompressionZSTD {
		kind = compress.ZSTD
	}
	frames := compress.NewWriter(compress.LevelZero, kind)
	buffer := make([]byte, frameBytes)
	for {
		n, err := io.ReadFull(r, buffer)
		if n > 0 {
			if err := frames.Compress(buffer[:n]); err != nil {
				return fmt.Errorf("compress block: %w", err)
			}
			if _, err := w.Write(frames.Data); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// insertNative sends the block over the native protocol. The driver takes rows only through its own columns; they
// are filled by decoding the encoded block, a copy per column instead of a conversion per value.
func (w *Writer) insertNative(ctx context.Context, b *block, settings clickhousego.Settings) (err error) {
	ctx = clickhousego.Context(ctx, clickhousego.WithSettings(settings))
	out, err := w.conn.PrepareBatch(ctx, b.insertQuery(w.cfg.Database))
	if err != nil {
		return err
	}
	if err := fill(out.Columns(), b); err != nil {
		return errors.Join(err, out.Abort())
	}
	if w.faults.Midway != nil {
		w.faults.Midway() // the statement is open, its block is not sent
	}
	return out.Send()
}

// fill decodes b's columns into the driver's.
func fill(columns []chcolumn.Interface, b *block) error {
	if len(columns) != len(b.columns) {
		return fmt.Errorf("fill block %s: the server has %d columns, not %d", b.name, len(columns), len(b.columns))
	}
	for i, to := range columns {
		from := &b.columns[i]
		if to.Name() != from.name || string(to.Type()) != from.kind {
			return fmt.Errorf("fill block %s: the server has %s %s, not %s %s", b.name, to.Name(), to.Type(), from.name, from.kind)
		}
		parts := [][]byte{from.column.prefix(nil)}
		source := &partsReader{parts: from.column.parts(parts)}
		reader := proto.NewReader(bufio.NewReaderSize(source, 1<<16))
		if custom, ok := to.(chcolumn.CustomSerialization); ok {
			if err := custom.ReadStatePrefix(reader); err != nil {
				return fmt.Errorf("fill column %s: %w", from.name, err)
			}
		}
		if err := to.Decode(reader, b.rows()); err != nil {
			return fmt.Errorf("fill column %s: %w", from.name, err)
		}
	}
	return nil
}
