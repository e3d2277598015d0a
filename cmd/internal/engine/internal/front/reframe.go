package front

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// reframe rewrites Native blocks of revision 0, the only one the embedded engine writes, for a client that
// announced a client_protocol_version: such a client expects a block header before each block and, from revision
// 54454 on, a serialisation flag before each column.
func reframe(blocks []byte, revision uint64, out *chproto.Buffer) error {
	buffered := bufio.NewReaderSize(bytes.NewReader(blocks), 128<<10) // of a size that chproto takes over as it is
	reader := chproto.NewReader(buffered)
	for {
		_, atEnd := buffered.Peek(1)
		block := proto.Block{ServerContext: &column.ServerContext{Revision: revision}}
		if err := block.Decode(reader, 0); err != nil {
			if isEOF(err) && atEnd != nil && len(block.Columns) == 0 {
				return nil
			}
			return fmt.Errorf("decode native block: %w", err)
		}
		if err := block.Encode(out, revision); err != nil {
			return fmt.Errorf("encode native block: %w", err)
		}
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
