package front

import "strings"

// tokenKind is the kind of a lexical unit of ClickHouse SQL.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenQuoted // `name` or "name"
	tokenString
	tokenNumber
	tokenMark // punctuation and operators, one byte
)

// token is one lexical unit and its place in the text. For a quoted name, text is the name without its quotes;
// escaped says that the name holds a backslash and so may not be what it looks like.
type token struct {
	kind       tokenKind
	text       string
	start, end int
	escaped    bool
}

// is reports whether t is the given keyword, in any case.
func (t token) is(keyword string) bool {
	return t.kind == tokenWord && strings.EqualFold(t.text, keyword)
}

// mark reports whether t is the given punctuation.
func (t token) mark(c byte) bool { return t.kind == tokenMark && t.text[0] == c }

// lexer splits ClickHouse SQL by the rules of the engine's own lexer: nested block comments, "--" and "# "
// comments, backslash escapes and doubled quotes, $tag$ heredocs and typographic quotes. The front never rewrites
// SQL with it: it finds clauses and refuses what a network client must not say.
type lexer struct {
	src string
	pos int
}

// next returns the next token; tokenEnd repeats at the end. Unterminated quotes and comments reach to the end.
func (l *lexer) next() token {
	l.skipBlank()
	if l.pos >= len(l.src) {
		return token{kind: tokenEnd, start: len(l.src), end: len(l.src)}
	}
	start := l.pos
	c := l.src[l.pos]
	switch {
	case c == '\'':
		l.skipQuoted('\'')
		return l.token(tokenString, start)
	case c == '`' || c == '"':
		l.skipQuoted(c)
		return l.name(start, 1)
	case isWordStart(c):
		for l.pos < len(l.src) && isWordByte(l.src[l.pos]) {
			l.pos++
		}
		return l.token(tokenWord, start)
	case c >= '0' && c <= '9':
		for l.pos < len(l.src) && (isWordByte(l.src[l.pos]) || l.src[l.pos] == '.') {
			l.pos++
		}
		return l.token(tokenNumber, start)
	case c == '$':
		if l.skipHeredoc() {
			return l.token(tokenString, start)
		}
	case strings.HasPrefix(l.src[l.pos:], "‘"):
		l.skipTo("’")
		return l.token(tokenString, start)
	case strings.HasPrefix(l.src[l.pos:], "“"):
		l.skipTo("”")
		return l.name(start, len("“"))
	}
	l.pos++
	return l.token(tokenMark, start)
}

func (l *lexer) token(kind tokenKind, start int) token {
	return token{kind: kind, text: l.src[start:l.pos], start: start, end: l.pos}
}

// name is a quoted identifier with quotes of the given width.
func (l *lexer) name(start, width int) token {
	t := l.token(tokenQuoted, start)
	if len(t.text) >= 2*width {
		t.text = t.text[width : len(t.text)-width]
	}
	t.escaped = strings.ContainsAny(t.text, "\\`\"")
	return t
}

func (l *lexer) skipBlank() {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch {
		case isSpace(rest[0]):
			l.pos++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "# "), strings.HasPrefix(rest, "#!"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest) - 1
			}
			l.pos += end + 1
		case strings.HasPrefix(rest, "/*"):
			l.skipComment()
		default:
			return
		}
	}
}

func (l *lexer) skipComment() {
	depth := 0
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch {
		case strings.HasPrefix(rest, "/*"):
			depth++
			l.pos += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			l.pos += 2
			if depth == 0 {
				return
			}
		default:
			l.pos++
		}
	}
}

func (l *lexer) skipQuoted(quote byte) {
	l.pos++
	for l.pos < len(l.src) {
		switch l.src[l.pos] {
		case '\\':
			l.pos++
		case quote:
			if l.pos+1 >= len(l.src) || l.src[l.pos+1] != quote {
				l.pos++
				return
			}
			l.pos++
		}
		l.pos++
	}
	l.pos = len(l.src)
}

func (l *lexer) skipTo(closing string) {
	end := strings.Index(l.src[l.pos:], closing)
	if end < 0 {
		l.pos = len(l.src)
		return
	}
	l.pos += end + len(closing)
}

// skipHeredoc moves past $tag$...$tag$ and reports whether there was one.
func (l *lexer) skipHeredoc() bool {
	end := l.pos + 1
	for end < len(l.src) && isWordByte(l.src[end]) && l.src[end] != '$' {
		end++
	}
	if end >= len(l.src) || l.src[end] != '$' {
		return false
	}
	tag := l.src[l.pos : end+1]
	body := strings.Index(l.src[end+1:], tag)
	if body < 0 {
		return false
	}
	l.pos = end + 1 + body + len(tag)
	return true
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func isWordStart(c byte) bool {
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}

func isWordByte(c byte) bool { return isWordStart(c) || c == '$' || (c >= '0' && c <= '9') }
