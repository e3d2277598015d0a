package front

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/internal/chdb"
)

// Codes of ClickHouse exceptions that the front itself raises or maps, by the engine's list in system.errors.
const (
	codeNotImplemented   = 48
	codeSyntax           = 62
	codeTimeout          = 159
	codeReadonly         = 164
	codeTooManyQueries   = 202
	codeQueryTooLarge    = 229
	codeUnknownCompress  = 89
	codeIncorrectData    = 117
	codeBadArguments     = 36
	codeRequiredPassword = 194
	codeAccessDenied     = 497
	codeAuthFailed       = 516
	codeStdException     = 1001
)

// exception is an error in ClickHouse's own form.
type exception struct {
	code int
	text string // "Code: NNN. DB::Exception: ..."
}

// Error implements error.
func (e *exception) Error() string { return e.text }

func raise(code int, name, message string) *exception {
	return &exception{code: code, text: fmt.Sprintf("Code: %d. DB::Exception: %s. (%s)", code, strings.TrimSuffix(message, "."), name)}
}

func denied(reason string) *exception {
	return raise(codeAccessDenied, "ACCESS_DENIED", "The embedded engine refuses the statement: "+reason)
}

// codePrefix is how the engine starts every exception text.
var codePrefix = regexp.MustCompile(`^Code: (\d+)\. DB::Exception: `)

// toException brings any error into ClickHouse's form. The engine wraps some texts twice; one layer is kept.
func (h *Handler) toException(err error) *exception {
	var e *exception
	if errors.As(err, &e) {
		return h.versioned(e)
	}
	var engine *chdb.EngineError
	if !errors.As(err, &engine) {
		return h.versioned(raise(codeStdException, "STD_EXCEPTION", err.Error()))
	}
	text := strings.TrimSpace(engine.Text)
	match := codePrefix.FindStringSubmatch(text)
	if match == nil {
		return h.versioned(raise(codeStdException, "STD_EXCEPTION", text))
	}
	code, err := strconv.Atoi(match[1])
	if err != nil {
		return h.versioned(raise(codeStdException, "STD_EXCEPTION", text))
	}
	for strings.HasPrefix(text[len(match[0]):], match[0]) {
		text = unwrap(text[len(match[0]):])
	}
	return h.versioned(&exception{code: code, text: text})
}

// unwrap removes the "(NAME)" that the outer layer repeats behind the inner layer's version.
func unwrap(text string) string {
	i := strings.LastIndex(text, ". (")
	if i > 0 && strings.HasSuffix(text[:i], ")") {
		return text[:i]
	}
	return text
}

// versioned ends the text with the engine's version, as a server does.
func (h *Handler) versioned(e *exception) *exception {
	if strings.Contains(e.text, "(version ") {
		return e
	}
	return &exception{code: e.code, text: e.text + " (version " + h.version + ")"}
}

// status is the HTTP status a ClickHouse server answers for an exception code.
func (e *exception) status() int {
	switch e.code {
	case codeRequiredPassword:
		return http.StatusUnauthorized
	case 192, 193, codeAuthFailed, codeAccessDenied:
		return http.StatusForbidden
	case 6, 25, 26, 27, 38, 41, 43, 53, 57, 62, 72, 117, 130, 131, 167, 168, 321, 441:
		return http.StatusBadRequest
	case 46, 47, 50, 56, 60, 63, 73, 81, 115:
		return http.StatusNotFound
	case codeQueryTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeNotImplemented:
		return http.StatusNotImplemented
	case 209, 439, codeTooManyQueries:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// writeException answers a request that has sent nothing yet.
func (h *Handler) writeException(w http.ResponseWriter, err error) {
	e := h.toException(err)
	header := w.Header()
	header.Del("Content-Encoding")
	header.Set("Content-Type", "text/plain; charset=UTF-8")
	header.Set("X-ClickHouse-Exception-Code", strconv.Itoa(e.code))
	if e.code == codeAuthFailed || e.code == codeRequiredPassword {
		header.Set("WWW-Authenticate", `Basic realm="ClickHouse server HTTP API"`)
	}
	w.WriteHeader(e.status())
	fmt.Fprintln(w, e.text)
}

// exceptionFrame is how a server ends a body whose query failed after its first byte was sent: between two
// markers, with the tag that the response's X-ClickHouse-Exception-Tag header announced.
func exceptionFrame(e *exception, tag string) []byte {
	const marker = "__exception__"
	text := e.text
	if len(text) > 15<<10 {
		text = text[:15<<10]
	}
	return fmt.Appendf(nil, "\r\n%s\r\n%s\r\n%s\n%d %s\r\n%s\r\n", marker, tag, text, len(text)+1, tag, marker)
}
