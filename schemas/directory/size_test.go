package directory_test

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkParse reads a directory of a large company: 2,000 apps with one credential each.
func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("teams:\n  - id: t\n    owner: o\napps:\n")
	for i := range 2000 {
		fmt.Fprintf(&text, "  - id: app-%d\n    team: t\n    owner: o@example.com\n    purpose: work\n", i)
	}
	text.WriteString("credentials:\n")
	for i := range 2000 {
		fmt.Fprintf(&text, "  - id: key-%d\n    app: app-%d\n    fingerprint: \"mt1:%032x\"\n", i, i, i)
	}
	data := []byte(text.String())
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		parse(b, data)
	}
}
