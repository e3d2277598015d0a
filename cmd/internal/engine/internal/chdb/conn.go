package chdb

import (
	"errors"
	"runtime"
	"unsafe"
)

// Conn is one session of the engine. It runs one statement at a time and is not safe for concurrent use.
type Conn struct {
	lib    *Library
	handle uintptr // chdb_connection *
}

// Param is one value for a {name:Type} placeholder, in ClickHouse's escaped text form.
type Param struct{ Name, Value string }

// Stats are the counters of one statement.
type Stats struct {
	ElapsedSeconds                                             float64
	ReadRows, ReadBytes, WrittenRows, WrittenBytes, ResultRows uint64
}

// EngineError is an error the engine reported, with its text as it came.
type EngineError struct{ Text string }

// Error implements error.
func (e *EngineError) Error() string { return e.Text }

// Connect opens a session. Arguments are those of clickhouse-local, such as "--path=/data"; the first session of
// the process boots the engine, later ones share it. The engine writes why it refused to its own error stream.
func (l *Library) Connect(args ...string) (*Conn, error) {
	argv := append([]string{"clickhouse"}, args...)
	var pin runtime.Pinner
	defer pin.Unpin()
	pointers := make([]unsafe.Pointer, len(argv)+1)
	for i, arg := range argv {
		b := append([]byte(arg), 0)
		pin.Pin(&b[0])
		pointers[i] = unsafe.Pointer(&b[0])
	}
	pin.Pin(&pointers[0])
	handle := l.connect(int32(len(argv)), unsafe.Pointer(&pointers[0]))
	if handle == 0 {
		return nil, errors.New("engine refused the connection")
	}
	return &Conn{lib: l, handle: handle}, nil
}

// Close ends the session. Closing the last one of the process stops the engine. Close is idempotent.
func (c *Conn) Close() {
	if c.handle != 0 {
		c.lib.closeConn(c.handle)
		c.handle = 0
	}
}

// conn returns the chdb_connection behind the handle.
func (c *Conn) conn() uintptr { return *(*uintptr)(pointer(c.handle)) }

// paramArrays holds the parallel arrays of the C interface.
type paramArrays struct {
	names, values         []unsafe.Pointer
	nameLens, valueLens   []uintptr
	pNames, pValues       unsafe.Pointer
	pNameLens, pValueLens unsafe.Pointer
}

func newParamArrays(params []Param, pin *runtime.Pinner) *paramArrays {
	a := &paramArrays{}
	if len(params) == 0 {
		return a
	}
	for _, p := range params {
		name, nameLen := text(p.Name, pin)
		value, valueLen := text(p.Value, pin)
		a.names, a.nameLens = append(a.names, name), append(a.nameLens, nameLen)
		a.values, a.valueLens = append(a.values, value), append(a.valueLens, valueLen)
	}
	pin.Pin(&a.names[0])
	pin.Pin(&a.values[0])
	pin.Pin(&a.nameLens[0])
	pin.Pin(&a.valueLens[0])
	a.pNames, a.pValues = unsafe.Pointer(&a.names[0]), unsafe.Pointer(&a.values[0])
	a.pNameLens, a.pValueLens = unsafe.Pointer(&a.nameLens[0]), unsafe.Pointer(&a.valueLens[0])
	return a
}

// Query runs one statement to its end and returns its whole output in the given format.
func (c *Conn) Query(sql, format string, params ...Param) ([]byte, Stats, error) {
	if c.handle == 0 {
		return nil, Stats{}, ErrClosed
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	q, qn := text(sql, &pin)
	f, fn := text(format, &pin)
	a := newParamArrays(params, &pin)
	result := c.lib.queryParams(c.conn(), q, qn, f, fn, a.pNames, a.pNameLens, a.pValues, a.pValueLens, uintptr(len(params)))
	return c.lib.take(result)
}

// take copies a materialised result and destroys its handle.
func (l *Library) take(result uintptr) ([]byte, Stats, error) {
	if result == 0 {
		return nil, Stats{}, errors.New("engine returned no result")
	}
	defer l.destroyResult(result)
	if p := l.resultError(result); p != 0 {
		return nil, Stats{}, &EngineError{Text: goString(p)}
	}
	stats := Stats{
		ElapsedSeconds: l.resultElapsed(result),
		ReadRows:       l.storageRows(result),
		ReadBytes:      l.storageBytes(result),
		WrittenRows:    l.rowsWritten(result),
		WrittenBytes:   l.bytesWritten(result),
		ResultRows:     l.rowsRead(result),
	}
	n := l.resultLength(result)
	if n == 0 {
		return nil, stats, nil
	}
	out := make([]byte, n)
	copy(out, unsafe.Slice((*byte)(pointer(l.resultBuffer(result))), n))
	return out, stats, nil
}

// Stream is the output of a running SELECT. The connection accepts nothing else until Close.
type Stream struct {
	conn   *Conn
	result uintptr
	done   bool
}

// Stream starts a SELECT whose output is fetched block by block. It fails at once for a statement that does not
// parse or whose tables do not exist.
func (c *Conn) Stream(sql, format string, params ...Param) (*Stream, error) {
	if c.handle == 0 {
		return nil, ErrClosed
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	q, qn := text(sql, &pin)
	f, fn := text(format, &pin)
	a := newParamArrays(params, &pin)
	result := c.lib.streamParams(c.conn(), q, qn, f, fn, a.pNames, a.pNameLens, a.pValues, a.pValueLens, uintptr(len(params)))
	if result == 0 {
		return nil, errors.New("engine returned no result")
	}
	if p := c.lib.resultError(result); p != 0 {
		err := &EngineError{Text: goString(p)}
		c.lib.destroyResult(result)
		return nil, err
	}
	return &Stream{conn: c, result: result}, nil
}

// Next returns the next block in the stream's format; a nil slice without an error is the end.
func (s *Stream) Next() ([]byte, Stats, error) {
	if s.done {
		return nil, Stats{}, nil
	}
	out, stats, err := s.conn.lib.take(s.conn.lib.streamFetch(s.conn.conn(), s.result))
	if err != nil || len(out) == 0 {
		s.done = true
	}
	return out, stats, err
}

// Close cancels what is still running and frees the stream.
func (s *Stream) Close() {
	if s.result == 0 {
		return
	}
	if !s.done {
		s.conn.lib.streamCancel(s.conn.conn(), s.result)
	}
	s.conn.lib.destroyResult(s.result)
	s.result = 0
}

// Insert is a running INSERT whose data is pushed in pieces. The connection accepts nothing else until Close.
type Insert struct {
	lib    *Library
	stream uintptr
}

// Insert starts an INSERT; sql has neither a FORMAT clause nor data.
func (c *Conn) Insert(sql, format string, params ...Param) (*Insert, error) {
	if c.handle == 0 {
		return nil, ErrClosed
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	q, qn := text(sql, &pin)
	f, fn := text(format, &pin)
	a := newParamArrays(params, &pin)
	in := &Insert{lib: c.lib, stream: c.lib.insertStream(c.conn(), q, qn, f, fn, a.pNames, a.pNameLens, a.pValues, a.pValueLens, uintptr(len(params)))}
	if in.stream == 0 {
		return nil, errors.New("engine returned no insert")
	}
	if err := in.err(); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

func (in *Insert) err() error {
	if p := in.lib.insertError(in.stream); p != 0 {
		return &EngineError{Text: goString(p)}
	}
	return nil
}

// Write implements io.Writer; the engine copies p. It blocks while the engine is behind.
func (in *Insert) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&p[0])
	if in.lib.insertAppend(in.stream, unsafe.Pointer(&p[0]), uintptr(len(p))) != 0 {
		if err := in.err(); err != nil {
			return 0, err
		}
		return 0, errors.New("engine refused inserted data")
	}
	return len(p), nil
}

// Commit ends the data and waits until the rows are stored.
func (in *Insert) Commit() (Stats, error) {
	_, stats, err := in.lib.take(in.lib.insertDone(in.stream))
	return stats, err
}

// Close frees the insert and cancels it when it was not committed. Close is idempotent.
func (in *Insert) Close() {
	if in.stream != 0 {
		in.lib.insertDestroy(in.stream)
		in.stream = 0
	}
}

// Class says what a statement does to state that outlives it.
type Class uint32

// The classes of chdb_query_class.
const (
	ClassReadOnly Class = iota
	ClassMutating
	ClassMutatingGlobal
	ClassControl
	ClassUnknown
)

// Analysis is the engine's own parser's view of a text.
type Analysis struct {
	Statements uint32
	Flags      uint32
	Class      Class
}

// Classify parses sql with the engine's parser without running it. A text that does not parse has no statements
// and the class unknown.
func (c *Conn) Classify(sql string) (Analysis, error) {
	if c.handle == 0 {
		return Analysis{}, ErrClosed
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	q, qn := text(sql, &pin)
	out := [4]uint32{16}
	pin.Pin(&out)
	if c.lib.classify(c.conn(), q, qn, nil, 0, unsafe.Pointer(&out)) != 0 {
		return Analysis{}, errors.New("engine could not classify the statement")
	}
	return Analysis{Statements: out[1], Flags: out[2], Class: Class(out[3])}, nil
}
