package ddl

import "strings"

// Split cuts a script into statements at semicolons that stand outside quotes and comments. Statements come back
// trimmed, without their semicolon; a piece that holds only comments and space is left out. Quotes are ', " and `,
// with backslash escapes and doubled quotes; comments are --, # followed by a space or !, and /* */, as in
// https://clickhouse.com/docs/sql-reference/syntax.
func Split(script string) []string {
	var out []string
	start, content := 0, false
	for i := 0; i < len(script); {
		if n := commentLength(script[i:]); n > 0 {
			i += n
			continue
		}
		switch c := script[i]; c {
		case '\'', '"', '`':
			content = true
			i += quotedLength(script[i:])
		case ';':
			if piece := strings.TrimSpace(script[start:i]); content && piece != "" {
				out = append(out, piece)
			}
			i++
			start, content = i, false
		default:
			if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
				content = true
			}
			i++
		}
	}
	if piece := strings.TrimSpace(script[start:]); content && piece != "" {
		out = append(out, piece)
	}
	return out
}

// quotedLength is the length of the quoted text at the beginning of s, or of all of s when it is not closed.
func quotedLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			if i+1 < len(s) && s[i+1] == s[0] {
				i++
				continue
			}
			return i + 1
		}
	}
	return len(s)
}

// commentLength is the length of the comment at the beginning of s, 0 when there is none.
func commentLength(s string) int {
	switch {
	case strings.HasPrefix(s, "--"), strings.HasPrefix(s, "# "), strings.HasPrefix(s, "#!"):
		if end := strings.IndexByte(s, '\n'); end >= 0 {
			return end + 1
		}
		return len(s)
	case strings.HasPrefix(s, "/*"):
		if end := strings.Index(s[2:], "*/"); end >= 0 {
			return end + 4
		}
		return len(s)
	}
	return 0
}
