package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// place returns the key at which a fault of the file stands as "tap.workers: ", with its line where the library does
// not say one, or "" where the fault is not a key's.
func place(data []byte, fault error) string {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return ""
	}
	find := &finder{match: suspect(fault)}
	var positioned yaml.Error
	if errors.As(fault, &positioned) && positioned.GetToken() != nil {
		at := positioned.GetToken().Position
		find.match = func(n ast.Node) bool {
			p := n.GetToken().Position
			return p.Line == at.Line && p.Column == at.Column
		}
	}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			ast.Walk(find, doc.Body)
		}
	}
	switch key := strings.TrimPrefix(strings.TrimPrefix(find.path, "$"), "."); {
	case key == "":
		return ""
	case positioned == nil:
		return fmt.Sprintf("%s: [%d:%d] ", key, find.line, find.column)
	default:
		return key + ": "
	}
}

// suspect matches the value that causes the fault by itself. The library tells no position of what a type's own
// reader refuses, such as a duration or a secret.
func suspect(fault error) func(ast.Node) bool {
	found := false
	return func(n ast.Node) bool {
		scalar, ok := n.(ast.ScalarNode)
		if found || !ok || n.GetPath() == "" {
			return false
		}
		alone, err := nest(n.GetPath(), scalar.GetValue())
		if err != nil {
			return false
		}
		cfg := Default()
		err = yaml.UnmarshalWithOptions(alone, &cfg, yaml.Strict())
		found = err != nil && err.Error() == fault.Error()
		return found
	}
}

// nest writes a file that holds one value at a path such as $.tap.routes[0].connect_timeout.
func nest(path string, value any) ([]byte, error) {
	parts := strings.Split(strings.TrimPrefix(path, "$."), ".")
	for i := len(parts) - 1; i >= 0; i-- {
		name, _, inList := strings.Cut(parts[i], "[")
		if inList {
			value = []any{value}
		}
		value = map[string]any{name: value}
	}
	return yaml.Marshal(value)
}

// finder keeps the path of the last node that matches.
type finder struct {
	match        func(ast.Node) bool
	path         string
	line, column int
}

// Visit implements ast.Visitor.
func (f *finder) Visit(n ast.Node) ast.Visitor {
	if f.match(n) {
		f.path = n.GetPath()
		f.line, f.column = n.GetToken().Position.Line, n.GetToken().Position.Column
	}
	return f
}
