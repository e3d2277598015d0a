// Package chdb binds the C interface of libchdb, ClickHouse built as a shared library, without cgo. It owns the
// memory rules of that interface: every result handle is read, copied and destroyed here, and no pointer leaves
// the package. It does no I/O of its own and knows nothing of HTTP.
package chdb

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"
)

// Library is one loaded libchdb. A process holds at most one, because the library keeps one engine per process.
// Its methods are safe for concurrent use.
type Library struct {
	connect        func(argc int32, argv unsafe.Pointer) uintptr
	closeConn      func(conn uintptr)
	queryParams    func(conn uintptr, q unsafe.Pointer, qn uintptr, f unsafe.Pointer, fn uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	streamParams   func(conn uintptr, q unsafe.Pointer, qn uintptr, f unsafe.Pointer, fn uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	streamFetch    func(conn, result uintptr) uintptr
	streamCancel   func(conn, result uintptr)
	insertStream   func(conn uintptr, q unsafe.Pointer, qn uintptr, f unsafe.Pointer, fn uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) uintptr
	insertAppend   func(stream uintptr, data unsafe.Pointer, n uintptr) int32
	insertDone     func(stream uintptr) uintptr
	insertCancel   func(stream uintptr)
	insertError    func(stream uintptr) uintptr
	insertDestroy  func(stream uintptr)
	destroyResult  func(result uintptr)
	resultBuffer   func(result uintptr) uintptr
	resultLength   func(result uintptr) uintptr
	resultElapsed  func(result uintptr) float64
	rowsRead       func(result uintptr) uint64
	bytesRead      func(result uintptr) uint64
	storageRows    func(result uintptr) uint64
	storageBytes   func(result uintptr) uint64
	rowsWritten    func(result uintptr) uint64
	bytesWritten   func(result uintptr) uint64
	resultError    func(result uintptr) uintptr
	classify       func(conn uintptr, sql unsafe.Pointer, n uintptr, db unsafe.Pointer, dbn uintptr, out unsafe.Pointer) int32
	signalHandlers func(enabled int32)
	version        func() uintptr
}

// ErrClosed is returned by every method of a connection after Close.
var ErrClosed = errors.New("connection is closed")

// Open loads the library at path and turns its signal handlers off, so that the Go runtime keeps its own.
func Open(path string) (*Library, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("find libchdb: %w", err)
	}
	bind, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("load libchdb: %w", err)
	}
	lib := &Library{}
	for _, f := range []struct {
		name string
		ptr  any
	}{
		{"chdb_connect", &lib.connect},
		{"chdb_close_conn", &lib.closeConn},
		{"chdb_query_with_params_n", &lib.queryParams},
		{"chdb_stream_query_with_params_n", &lib.streamParams},
		{"chdb_stream_fetch_result", &lib.streamFetch},
		{"chdb_stream_cancel_query", &lib.streamCancel},
		{"chdb_stream_insert_with_params_n", &lib.insertStream},
		{"chdb_stream_append", &lib.insertAppend},
		{"chdb_stream_done", &lib.insertDone},
		{"chdb_stream_cancel_insert", &lib.insertCancel},
		{"chdb_stream_insert_error", &lib.insertError},
		{"chdb_destroy_insert_stream", &lib.insertDestroy},
		{"chdb_destroy_query_result", &lib.destroyResult},
		{"chdb_result_buffer", &lib.resultBuffer},
		{"chdb_result_length", &lib.resultLength},
		{"chdb_result_elapsed", &lib.resultElapsed},
		{"chdb_result_rows_read", &lib.rowsRead},
		{"chdb_result_bytes_read", &lib.bytesRead},
		{"chdb_result_storage_rows_read", &lib.storageRows},
		{"chdb_result_storage_bytes_read", &lib.storageBytes},
		{"chdb_result_rows_written", &lib.rowsWritten},
		{"chdb_result_bytes_written", &lib.bytesWritten},
		{"chdb_result_error", &lib.resultError},
		{"chdb_classify_query_n", &lib.classify},
		{"chdb_set_signal_handlers_enabled", &lib.signalHandlers},
		{"chdb_version", &lib.version},
	} {
		if err := bind(f.name, f.ptr); err != nil {
			return nil, fmt.Errorf("bind %s, libchdb 26.7 or later is needed: %w", f.name, err)
		}
	}
	lib.signalHandlers(0)
	return lib, nil
}

// Version returns the library's own version.
func (l *Library) Version() string { return goString(l.version()) }

// goString copies a NUL-terminated C string; the zero pointer is the empty string.
func goString(p uintptr) string {
	if p == 0 {
		return ""
	}
	base := pointer(p)
	n := 0
	for *(*byte)(unsafe.Add(base, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(base), n))
}

// pointer turns an address that C owns into a Go pointer. The address is never in the Go heap, so the garbage
// collector has nothing to move; the indirection only keeps vet from taking it for arithmetic on Go memory.
func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// text returns the address and length of s for the time of one call; an empty string gets a valid address.
func text(s string, pin *runtime.Pinner) (unsafe.Pointer, uintptr) {
	if s == "" {
		s = "\x00"
		p := unsafe.Pointer(unsafe.StringData(s))
		return p, 0
	}
	p := unsafe.Pointer(unsafe.StringData(s))
	pin.Pin(p)
	return p, uintptr(len(s))
}
