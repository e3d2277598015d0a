// Package demo holds the organisation of the demonstration: its directory, whose traffic package traffic plays
// against the scripted provider of package provider.
package demo

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/modeltrail/modeltrail/cmd/internal/demo/traffic"
)

//go:embed directory.yaml
var directoryYAML string

// Directory returns the demonstration's directory in the format of schemas/directory. fingerprint is the tap's keyed
// fingerprint of a credential ("mt1:..."), which only a running installation knows.
func Directory(fingerprint func(secret string) string) []byte {
	var b strings.Builder
	b.WriteString(directoryYAML)
	b.WriteString("\ncredentials:\n")
	for _, c := range traffic.Credentials() {
		fmt.Fprintf(&b, "  - {id: %s, app: %s, fingerprint: %q}\n", c.ID, c.App, fingerprint(c.Secret))
	}
	return []byte(b.String())
}
