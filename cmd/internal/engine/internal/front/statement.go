package front

import "strings"

// statement is what the front has to know about a text before it hands it to the engine.
type statement struct {
	text   string // without a trailing semicolon
	verb   string // first keyword in upper case, empty for an empty text
	format string // the FORMAT clause, empty when there is none
	insert *insertClause
	denied string // why a network client may not run it, empty when it may
}

// insertClause is an INSERT whose data follows the statement.
type insertClause struct {
	sql    string // the statement without FORMAT and data
	format string // empty when the statement names none
	values bool   // data after VALUES
	data   int    // where data starts in the text
}

// streamable reports whether the engine can hand out the result block by block.
func (s *statement) streamable() bool {
	switch s.verb {
	case "SELECT", "WITH", "(":
		return true
	}
	return false
}

// deniedNames are identifiers that reach outside the engine when run by a process that opens any file: the
// function file() reads every path of the host, and the schema settings read and write files.
var deniedNames = map[string]string{
	"file":                 "function file reads the host's files",
	"output_format_schema": "setting output_format_schema writes a file on the host",
	"format_schema":        "setting format_schema reads a file on the host",
}

// deniedSettings may not be URL parameters: they change how the statement itself is read, and so what the front
// sees of it.
var deniedSettings = map[string]string{
	"output_format_schema": deniedNames["output_format_schema"],
	"format_schema":        deniedNames["format_schema"],
	"dialect":              "only the ClickHouse dialect is served",
}

// parseStatement reads text once. It does not validate: a text the engine cannot parse gets the engine's own error.
func parseStatement(text string) statement {
	l := &lexer{src: text}
	first := l.next()
	s := statement{text: text, verb: verbOf(first)}
	if s.verb == "INSERT" {
		s.parseInsert(l)
		return s
	}
	depth := 0
	if first.mark('(') {
		depth = 1
	}
	s.scan(l, depth)
	return s
}

func verbOf(t token) string {
	switch {
	case t.kind == tokenWord:
		return strings.ToUpper(t.text)
	case t.mark('('):
		return "("
	}
	return ""
}

// scan walks a statement without inline data from a depth of parentheses: it finds the FORMAT clause and what is
// denied, and cuts the semicolon at the end.
func (s *statement) scan(l *lexer, depth int) {
	var before, last token
	semicolon := -1
	for {
		t := l.next()
		s.deny(last, t)
		if depth == 0 && before.is("FORMAT") && last.kind == tokenWord && endsFormat(t) {
			s.format = last.text
		}
		switch {
		case t.kind == tokenEnd:
			if semicolon >= 0 {
				s.text = s.text[:semicolon]
			}
			return
		case t.mark('('):
			depth++
		case t.mark(')'):
			depth--
		}
		semicolon = -1
		if t.mark(';') {
			semicolon = t.start
		}
		before, last = last, t
	}
}

// endsFormat reports whether t may follow FORMAT name; a column may be called format, too.
func endsFormat(t token) bool {
	return t.kind == tokenEnd || t.mark(';') || t.is("SETTINGS") || t.is("INTO")
}

// deny notes the first thing in the text that a network client may not say.
func (s *statement) deny(last, t token) {
	if s.denied != "" {
		return
	}
	switch {
	case t.kind == tokenQuoted && t.escaped:
		s.denied = "escaped characters in a quoted name are not served"
	case t.kind == tokenWord || t.kind == tokenQuoted:
		if reason, ok := deniedNames[t.text]; ok {
			s.denied = reason
		} else if last.is("INTO") && t.is("OUTFILE") {
			s.denied = "INTO OUTFILE writes a file on the host"
		} else if last.is("FROM") && t.is("INFILE") {
			s.denied = "FROM INFILE reads a file on the host"
		}
	}
}

// parseInsert finds where an INSERT's own text ends and its data begins. An INSERT ... SELECT has no data and
// stays whole.
func (s *statement) parseInsert(l *lexer) {
	last := s.skipTarget(l)
	depth := 0
	for t := l.next(); t.kind != tokenEnd; last, t = t, l.next() {
		s.deny(last, t)
		switch {
		case t.mark('('):
			depth++
		case t.mark(')'):
			depth--
		case depth != 0:
		case t.is("SELECT") || t.is("WITH") || t.is("WATCH"):
			s.scan(l, 0)
			return
		case t.is("VALUES"):
			s.insert = &insertClause{sql: s.text[:t.start], format: "Values", values: true, data: t.end}
			return
		case t.is("FORMAT"):
			s.insertFormat(l, t)
			return
		}
	}
	s.insert = &insertClause{sql: strings.TrimRight(strings.TrimSpace(s.text), ";"), data: len(s.text)}
}

// scanValues reads the inline data of INSERT ... VALUES, which may hold any expression.
func (s *statement) scanValues() {
	s.scan(&lexer{src: s.text, pos: s.insert.data}, 0)
}

// skipTarget moves past INTO [TABLE] [FUNCTION] name, so that a table called format is not taken for the clause.
func (s *statement) skipTarget(l *lexer) token {
	t := l.next()
	for t.is("INTO") || t.is("TABLE") || t.is("FUNCTION") {
		s.deny(token{}, t)
		t = l.next()
	}
	s.deny(token{}, t)
	for {
		mark := *l
		dot := mark.next()
		if !dot.mark('.') {
			return t
		}
		*l = mark
		t = l.next()
		s.deny(token{}, t)
	}
}

func (s *statement) insertFormat(l *lexer, format token) {
	name := l.next()
	clause := &insertClause{sql: s.text[:format.start], format: name.text, data: name.end}
	s.format = name.text
	s.insert = clause
	// The engine skips blanks and one line end between the format name and the data.
	for clause.data < len(s.text) && (s.text[clause.data] == ' ' || s.text[clause.data] == '\t' || s.text[clause.data] == '\f') {
		clause.data++
	}
	rest := s.text[clause.data:]
	switch {
	case strings.HasPrefix(rest, "\r\n"):
		clause.data += 2
	case strings.HasPrefix(rest, "\n"):
		clause.data++
	}
}

// trailingSettings moves a SETTINGS clause that stands behind FORMAT before it; only a statement whose data
// arrives apart may have one.
func (c *insertClause) trailingSettings(text string) {
	rest := strings.TrimRight(strings.TrimSpace(text[min(c.data, len(text)):]), ";")
	if len(rest) >= len("SETTINGS") && strings.EqualFold(rest[:len("SETTINGS")], "SETTINGS") {
		c.sql += " " + rest
		c.data = len(text)
	}
}
