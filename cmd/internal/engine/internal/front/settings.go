package front

import (
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strings"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/internal/chdb"
)

// transportParams are URL parameters that speak to the front, not to the engine.
var transportParams = map[string]bool{
	"query": true, "database": true, "user": true, "password": true, "default_format": true, "compress": true,
	"decompress": true, "client_protocol_version": true, "query_id": true, "quota_key": true, "buffer_size": true,
	"wait_end_of_query": true, "stacktrace": true, "role": true, "http_response_headers": true,
	"enable_http_compression": true, "http_zlib_compression_level": true, "network_compression_method": true,
	"network_zstd_compression_level": true, "send_progress_in_http_headers": true, "close_session": true,
	"http_headers_progress_interval_ms": true, "http_write_exception_in_output_format": true,
	"session_timeout": true, "session_check": true, "add_http_cors_header": true,
	"cancel_http_readonly_queries_on_client_close": true, "log_comment": true,
}

// settingName is what ClickHouse accepts as a setting's name; anything else must not reach a SET statement.
var settingName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// request is a parsed HTTP request before its statement is known.
type request struct {
	user     User
	get      bool
	database string
	format   string // default_format or X-ClickHouse-Format
	settings [][2]string
	params   []chdb.Param
	comment  string
	queryID  string

	revision   uint64 // client_protocol_version, 0 without
	compress   string // "", "LZ4" or "ZSTD": the native compression of the response
	decompress bool   // native compression of the request
	encoding   string // accepted Content-Encoding of the response
	buffered   bool   // wait_end_of_query
}

// newRequest reads headers and parameters. It fails for what the front does not serve, by name.
func (h *Handler) newRequest(r *http.Request, params url.Values) (*request, error) {
	user, err := h.authenticate(r, params)
	if err != nil {
		return nil, err
	}
	q := &request{
		user:       user,
		get:        r.Method == http.MethodGet || r.Method == http.MethodHead,
		database:   first(params.Get("database"), r.Header.Get("X-ClickHouse-Database"), h.set.Database),
		format:     first(params.Get("default_format"), r.Header.Get("X-ClickHouse-Format")),
		comment:    params.Get("log_comment"),
		queryID:    first(params.Get("query_id"), newID()),
		decompress: truthy(params.Get("decompress")),
		buffered:   truthy(params.Get("wait_end_of_query")),
	}
	if err := q.negotiate(r, params); err != nil {
		return nil, err
	}
	return q, q.readSettings(params)
}

// readSettings splits the parameters into query parameters and settings, in a stable order.
func (q *request) readSettings(params url.Values) error {
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		value := params.Get(name)
		switch {
		case strings.HasPrefix(name, "param_"):
			q.params = append(q.params, chdb.Param{Name: strings.TrimPrefix(name, "param_"), Value: value})
		case name == "session_id":
			return raise(codeNotImplemented, "NOT_IMPLEMENTED", "Sessions are not served by the embedded engine: send each statement without session_id")
		case transportParams[name]:
		case !settingName.MatchString(name):
			return raise(115, "UNKNOWN_SETTING", "Setting names are letters, digits and underscores")
		default:
			if reason, ok := deniedSettings[name]; ok {
				return denied(reason)
			}
			q.settings = append(q.settings, [2]string{name, value})
		}
	}
	return nil
}

// session opens the engine session of one request: its user's limits, its database and its settings. Sessions
// start from nothing, so no setting outlives its request.
func (h *Handler) session(q *request, kill string) (*chdb.Conn, error) {
	args := []string{"--path=" + h.set.Path, "--log_comment=" + strings.TrimSpace(kill+" "+q.comment)}
	if q.user.ReadOnly || q.get {
		args = append(args, "--readonly=2")
	}
	conn, err := h.set.Library.Connect(args...)
	if err != nil {
		return nil, err
	}
	if err := q.prepare(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (q *request) prepare(conn *chdb.Conn) error {
	if q.database != "" {
		if _, _, err := conn.Query("USE "+quoteName(q.database), "Null"); err != nil {
			return err
		}
	}
	if len(q.settings) == 0 {
		return nil
	}
	assignments := make([]string, len(q.settings))
	for i, s := range q.settings {
		assignments[i] = s[0] + " = " + quoteString(s[1])
	}
	_, _, err := conn.Query("SET "+strings.Join(assignments, ", "), "Null")
	return err
}

// identifierParams refuses a denied name that hides in an {name:Identifier} parameter.
func (q *request) identifierParams(sql string) error {
	if !strings.Contains(sql, "Identifier") {
		return nil
	}
	for _, p := range q.params {
		if reason, ok := deniedNames[strings.Trim(p.Value, "`\"")]; ok {
			return denied(reason)
		}
		if strings.Contains(p.Value, "\\") {
			return denied("escaped characters in an identifier parameter are not served")
		}
	}
	return nil
}

func quoteName(s string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(s) + "`"
}

func quoteString(s string) string {
	return "'" + strings.NewReplacer("\\", "\\\\", "'", "\\'").Replace(s) + "'"
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func truthy(s string) bool { return s == "1" || s == "true" }
