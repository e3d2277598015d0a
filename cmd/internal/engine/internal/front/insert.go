package front

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/internal/chdb"
)

// insertChunk is how much data is handed to the engine at a time; the engine keeps at most sixteen of them.
const insertChunk = 1 << 20

// drain is how much of a refused body is read away, so that a client that is still sending gets its answer.
const drain = 64 << 20

// insertFrom runs an INSERT whose data is the rest of its text and then the body.
func (h *Handler) insertFrom(w http.ResponseWriter, r *http.Request, q *request, s *statement, in *bufio.Reader) error {
	err := h.insertData(w, r, q, s, in)
	if err != nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.CopyN(io.Discard, r.Body, drain)
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
	return err
}

func (h *Handler) insertData(w http.ResponseWriter, r *http.Request, q *request, s *statement, in *bufio.Reader) error {
	clause := s.insert
	clause.trailingSettings(s.text)
	if s.denied != "" {
		return denied(s.denied)
	}
	if q.user.ReadOnly || q.get {
		return raise(codeReadonly, "READONLY", q.user.Name+": Cannot execute query in readonly mode")
	}
	if err := q.identifierParams(clause.sql); err != nil {
		return err
	}
	format := first(clause.format, q.format, "Values")
	if strings.EqualFold(format, "Values") {
		// Values is the one format whose data is evaluated; data of a body is not read by us and so stays literal.
		q.settings = append(q.settings, [2]string{"input_format_values_interpret_expressions", "0"})
	}
	data := io.MultiReader(strings.NewReader(s.text[clause.data:]), in)
	release, err := admit(r.Context(), h.writes)
	if err != nil {
		return err
	}
	defer release()
	conn, err := h.session(q, newID())
	if err != nil {
		return err
	}
	defer conn.Close()
	stats, err := h.insert(conn, q, clause.sql, format, data, http.NewResponseController(w))
	if err != nil {
		return err
	}
	formatHeaders(w.Header(), format)
	summary(w.Header(), stats)
	return nil
}

// insert pushes the data and commits it. Data that is broken off is never committed: the engine stores what it
// holds only on Commit, unless one statement exceeds the engine's own block limits.
func (h *Handler) insert(conn *chdb.Conn, q *request, sql, format string, data io.Reader, control *http.ResponseController) (chdb.Stats, error) {
	insert, err := conn.Insert(sql, format, q.params...)
	if err != nil {
		return chdb.Stats{}, err
	}
	defer insert.Close()
	chunk, ok := h.chunks.Get().(*[insertChunk]byte)
	if !ok {
		chunk = new([insertChunk]byte)
	}
	defer h.chunks.Put(chunk)
	buf := chunk[:]
	var size int64
	for {
		_ = control.SetReadDeadline(time.Now().Add(stalled))
		n, err := fill(data, buf)
		size += int64(n)
		if size > h.set.MaxInsertBytes {
			return chdb.Stats{}, raise(codeQueryTooLarge, "QUERY_IS_TOO_LARGE", fmt.Sprintf("Data of one INSERT is longer than %d bytes", h.set.MaxInsertBytes))
		}
		if _, err := insert.Write(buf[:n]); err != nil {
			return chdb.Stats{}, err
		}
		if errors.Is(err, io.EOF) {
			_ = control.SetReadDeadline(time.Time{})
			return insert.Commit()
		}
		if err != nil {
			return chdb.Stats{}, raise(codeIncorrectData, "INCORRECT_DATA", "Request body is broken off or does not decompress")
		}
	}
}

// fill reads until buf is full or data ends. Unlike io.ReadFull it keeps a clean end apart from a broken body,
// which a reader reports as io.ErrUnexpectedEOF.
func fill(data io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var got int
		got, err = data.Read(buf[n:])
		n += got
	}
	return n, err
}
