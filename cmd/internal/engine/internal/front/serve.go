package front

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/internal/chdb"
)

// stalled is how long a client may leave a response unread before its statement is cancelled.
const stalled = 2 * time.Minute

// serve runs one request. An error it returns belongs to a response that has not begun.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, q *request, sql string) error {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		return raise(codeNotImplemented, "NOT_IMPLEMENTED", "External tables are not served by the embedded engine")
	}
	raw, err := q.requestBody(r)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(raw, 1<<16)
	if sql != "" {
		s := parseStatement(sql)
		if s.insert != nil {
			return h.insertFrom(w, r, q, &s, in)
		}
	}
	text, whole, err := h.readText(sql, in)
	if err != nil {
		return err
	}
	s := parseStatement(text)
	switch {
	case s.insert != nil && (!whole || !s.insert.values):
		return h.insertFrom(w, r, q, &s, in)
	case s.insert != nil:
		s.scanValues()
	case !whole:
		return raise(codeQueryTooLarge, "QUERY_IS_TOO_LARGE", fmt.Sprintf("Statement is longer than %d bytes", h.set.MaxStatementBytes))
	case s.verb == "":
		return raise(codeSyntax, "SYNTAX_ERROR", "Empty query")
	}
	return h.query(w, r, q, &s)
}

// readText joins the query parameter and the body, as a server does, up to the bound of a statement's text.
func (h *Handler) readText(sql string, in *bufio.Reader) (text string, whole bool, err error) {
	var b strings.Builder
	b.WriteString(sql)
	limit := h.set.MaxStatementBytes - int64(len(sql))
	if limit < 0 {
		return sql, false, nil
	}
	if sql != "" {
		if _, err := in.Peek(1); err == nil {
			b.WriteByte('\n')
		}
	}
	n, err := io.CopyN(&b, in, limit)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, raise(codeIncorrectData, "INCORRECT_DATA", "Request body is broken off or does not decompress")
	}
	if n == limit {
		if _, err := in.Peek(1); err == nil {
			return b.String(), false, nil
		}
	}
	return b.String(), true, nil
}

// guard applies the engine's own view of a statement: exactly one, and a reading one for a reading user. It reports
// whether the statement leaves no trace.
func (q *request) guard(conn *chdb.Conn, s *statement) (reads bool, err error) {
	if s.denied != "" {
		return false, denied(s.denied)
	}
	if err := q.identifierParams(s.text); err != nil {
		return false, err
	}
	analysis, err := conn.Classify(s.text)
	if err != nil {
		return false, err
	}
	switch {
	case analysis.Statements > 1:
		return false, raise(codeSyntax, "SYNTAX_ERROR", "Multi-statements are not allowed")
	case analysis.Class == chdb.ClassUnknown || analysis.Class == chdb.ClassReadOnly:
		return true, nil
	case q.user.ReadOnly || q.get:
		return false, raise(codeReadonly, "READONLY", q.user.Name+": Cannot execute query in readonly mode")
	}
	return false, nil
}

// query runs a statement that brings no data. A reading one ends with its client or its time; one that writes goes
// on to its end, as on a server.
func (h *Handler) query(w http.ResponseWriter, r *http.Request, q *request, s *statement) error {
	release, err := admit(r.Context(), h.reads)
	if err != nil {
		return err
	}
	defer release()
	kill := newID()
	conn, err := h.session(q, kill)
	if err != nil {
		return err
	}
	defer conn.Close()
	reads, err := q.guard(conn, s)
	if err != nil {
		return err
	}
	format := first(s.format, q.format, "TabSeparated")
	if !reads {
		out, stats, err := conn.Query(s.text, format, q.params...)
		if err != nil {
			return err
		}
		return h.answer(w, q, format, out, stats)
	}
	ctx, cancel := r.Context(), context.CancelFunc(func() {})
	if h.set.StatementTimeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, h.set.StatementTimeout)
	}
	defer cancel()
	defer h.killAfter(ctx, kill)()
	if s.streamable() && streamFormats[format] && !q.buffered {
		return h.stream(w, q, s, conn, format)
	}
	out, stats, err := conn.Query(s.text, format, q.params...)
	if err != nil {
		return h.timedOut(ctx, err)
	}
	return h.answer(w, q, format, out, stats)
}

// timedOut gives a statement that was killed for its time the code of a timeout.
func (h *Handler) timedOut(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return raise(codeTimeout, "TIMEOUT_EXCEEDED", fmt.Sprintf("Timeout exceeded: maximum: %s", h.set.StatementTimeout))
	}
	return err
}

// answer sends a result that is complete.
func (h *Handler) answer(w http.ResponseWriter, q *request, format string, out []byte, stats chdb.Stats) error {
	var reframed chproto.Buffer
	if format == "Native" && q.revision > 0 && len(out) > 0 {
		if err := reframe(out, q.revision, &reframed); err != nil {
			return raise(codeNotImplemented, "NOT_IMPLEMENTED", "The result does not fit the client's protocol version: "+err.Error())
		}
		out = reframed.Buf
	}
	formatHeaders(w.Header(), format)
	summary(w.Header(), stats)
	b, err := newBody(w, q)
	if err != nil {
		return err
	}
	if len(out) == 0 {
		return nil
	}
	if q.encoding != "" {
		w.Header().Set("Content-Encoding", q.encoding)
	}
	if _, err := b.Write(out); err == nil {
		_ = b.Close()
	}
	return nil
}

// stream sends a result block by block. An error after the first block ends the body with an exception frame.
func (h *Handler) stream(w http.ResponseWriter, q *request, s *statement, conn *chdb.Conn, format string) error {
	rows, err := conn.Stream(s.text, format, q.params...)
	if err != nil {
		return err
	}
	defer rows.Close()
	b, err := newBody(w, q)
	if err != nil {
		return err
	}
	control := http.NewResponseController(w)
	tag := newID()[:16]
	var reframed chproto.Buffer
	var stats chdb.Stats
	for {
		out, blockStats, err := rows.Next()
		if err == nil && len(out) == 0 {
			break
		}
		if err == nil && format == "Native" && q.revision > 0 {
			reframed.Reset()
			if err = reframe(out, q.revision, &reframed); err != nil {
				err = raise(codeNotImplemented, "NOT_IMPLEMENTED", "The result does not fit the client's protocol version: "+err.Error())
			}
			out = reframed.Buf
		}
		if err != nil && !b.sent {
			return err
		}
		if err != nil {
			_, _ = b.raw(exceptionFrame(h.toException(err), tag))
			break
		}
		stats.ResultRows += blockStats.ResultRows
		if !b.sent {
			beginStream(w.Header(), q, format, tag)
		}
		_ = control.SetWriteDeadline(time.Now().Add(stalled))
		if _, err := b.Write(out); err != nil {
			return nil // the client is gone; closing the stream cancels the statement
		}
	}
	if !b.sent {
		formatHeaders(w.Header(), format)
		summary(w.Header(), stats)
		return nil
	}
	_ = b.Close()
	return nil
}

func beginStream(header http.Header, q *request, format, tag string) {
	formatHeaders(header, format)
	summary(header, chdb.Stats{})
	header.Set("X-ClickHouse-Exception-Tag", tag)
	if q.encoding != "" {
		header.Set("Content-Encoding", q.encoding)
	}
}
