// Package front serves ClickHouse's HTTP interface on top of libchdb: authentication, settings and parameters,
// formats, compression, streaming, cancellation and the text and status of errors, so that clickhouse-go, Grafana,
// curl and any other HTTP client use the embedded engine as they use a server.
//
// What a server does by itself and libchdb does not is decided here: who may write, what reaches the host's files
// and how many statements run at once. What the front cannot do is refused by name, never ignored: sessions,
// external tables, INTO OUTFILE, FROM INFILE and the function file.
package front

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/internal/chdb"
)

// Settings are what a Handler needs from its process.
type Settings struct {
	Library  *chdb.Library
	Path     string // data path of the engine; one connection to it stays open as long as the Handler serves
	Database string // database of requests that name none
	Users    []User

	MaxStatementBytes int64         // statement text, without data
	MaxInsertBytes    int64         // data of one INSERT after decompression
	StatementTimeout  time.Duration // of one reading statement; 0 is none
	MaxReads          int           // statements without data at a time
	MaxWrites         int           // INSERTs with data at a time
}

// Handler is the HTTP interface. It is safe for concurrent use.
type Handler struct {
	set      Settings
	version  string
	timezone string
	host     string
	reads    chan struct{}
	writes   chan struct{}
	chunks   sync.Pool // of *[insertChunk]byte
}

// New asks the engine who it is and returns a Handler.
func New(set Settings) (*Handler, error) {
	h := &Handler{
		set:    set,
		reads:  make(chan struct{}, max(1, set.MaxReads)),
		writes: make(chan struct{}, max(1, set.MaxWrites)),
	}
	conn, err := h.set.Library.Connect("--path=" + h.set.Path)
	if err != nil {
		return nil, fmt.Errorf("open engine session: %w", err)
	}
	defer conn.Close()
	out, _, err := conn.Query("SELECT version() AS version, timezone() AS timezone, displayName() AS host", "JSONEachRow")
	if err != nil {
		return nil, fmt.Errorf("ask engine version: %w", err)
	}
	var about struct{ Version, Timezone, Host string }
	if err := json.Unmarshal(out, &about); err != nil {
		return nil, fmt.Errorf("read engine version: %w", err)
	}
	h.version, h.timezone, h.host = about.Version, about.Timezone, about.Host
	return h, nil
}

// Version returns ClickHouse's version.
func (h *Handler) Version() string { return h.version }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/ping", r.URL.Path == "/replicas_status", r.URL.Path == "/" && bare(r):
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		fmt.Fprint(w, "Ok.\n")
		return
	case r.URL.Path != "/":
		http.Error(w, "There is no handle "+r.URL.Path+". Use / or /ping for health checks", http.StatusNotFound)
		return
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		h.writeException(w, raise(codeBadArguments, "BAD_ARGUMENTS", "Request parameters are not URL encoded"))
		return
	}
	q, err := h.newRequest(r, params)
	if err != nil {
		h.writeException(w, err)
		return
	}
	header := w.Header()
	header.Set("X-ClickHouse-Query-Id", q.queryID)
	header.Set("X-ClickHouse-Timezone", h.timezone)
	header.Set("X-ClickHouse-Server-Display-Name", h.host)
	if err := h.serve(w, r, q, params.Get("query")); err != nil {
		h.writeException(w, err)
	}
}

func bare(r *http.Request) bool { return r.Method != http.MethodPost && r.URL.RawQuery == "" }

// admit waits for a place among the statements that run.
func admit(ctx context.Context, places chan struct{}) (release func(), err error) {
	timer := time.NewTimer(30 * time.Second)
	defer timer.Stop()
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, raise(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES",
			fmt.Sprintf("Too many simultaneous queries. Maximum: %d", cap(places)))
	}
}

// summary is the X-ClickHouse-Summary header.
func summary(header http.Header, s chdb.Stats) {
	header.Set("X-ClickHouse-Summary", fmt.Sprintf(
		`{"read_rows":"%d","read_bytes":"%d","written_rows":"%d","written_bytes":"%d","total_rows_to_read":"0","result_rows":"%d","result_bytes":"0","elapsed_ns":"%d"}`,
		s.ReadRows, s.ReadBytes, s.WrittenRows, s.WrittenBytes, s.ResultRows, int64(s.ElapsedSeconds*1e9)))
}

// newID is a random identifier of 16 bytes in hex.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// killAfter kills the statement whose session carries the id when ctx ends before stop is called.
func (h *Handler) killAfter(ctx context.Context, id string) (stop func()) {
	undo := context.AfterFunc(ctx, func() {
		conn, err := h.set.Library.Connect("--path=" + h.set.Path)
		if err != nil {
			return
		}
		defer conn.Close()
		_, _, _ = conn.Query("KILL QUERY WHERE startsWith(Settings['log_comment'], "+quoteString(id)+") ASYNC", "Null")
	})
	return func() { undo() }
}

// contentTypes are the types of the formats a server names; every other format is plain text.
var contentTypes = map[string]string{
	"Native": "application/octet-stream", "RowBinary": "application/octet-stream",
	"RowBinaryWithNames": "application/octet-stream", "RowBinaryWithNamesAndTypes": "application/octet-stream",
	"Parquet": "application/octet-stream", "Arrow": "application/octet-stream", "ArrowStream": "application/octet-stream",
	"ORC": "application/octet-stream", "Avro": "application/octet-stream", "MsgPack": "application/octet-stream",
	"JSON": "application/json; charset=UTF-8", "JSONCompact": "application/json; charset=UTF-8",
	"JSONStrings": "application/json; charset=UTF-8", "JSONCompactStrings": "application/json; charset=UTF-8",
	"JSONColumns": "application/json; charset=UTF-8", "JSONCompactColumns": "application/json; charset=UTF-8",
	"JSONColumnsWithMetadata": "application/json; charset=UTF-8", "JSONObjectEachRow": "application/json; charset=UTF-8",
	"JSONEachRow": "application/x-ndjson; charset=UTF-8", "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
	"CSV": "text/csv; charset=UTF-8; header=absent", "CSVWithNames": "text/csv; charset=UTF-8; header=present",
	"TabSeparated": "text/tab-separated-values; charset=UTF-8", "TSV": "text/tab-separated-values; charset=UTF-8",
	"TabSeparatedWithNames": "text/tab-separated-values; charset=UTF-8", "XML": "application/xml; charset=UTF-8",
}

func contentType(format string) string {
	return first(contentTypes[format], "text/plain; charset=UTF-8")
}

// streamFormats are the formats whose blocks may simply follow each other; every other one has a head or a tail
// that belongs to the whole result and is built before the first byte is sent.
var streamFormats = map[string]bool{
	"Native": true, "RowBinary": true, "TabSeparated": true, "TSV": true, "TabSeparatedRaw": true, "TSVRaw": true,
	"CSV": true, "JSONEachRow": true, "JSONLines": true, "NDJSON": true, "JSONCompactEachRow": true, "TSKV": true,
	"JSONStringsEachRow": true, "JSONCompactStringsEachRow": true, "LineAsString": true, "RawBLOB": true,
}

func formatHeaders(header http.Header, format string) {
	header.Set("Content-Type", contentType(format))
	header.Set("X-ClickHouse-Format", format)
}
