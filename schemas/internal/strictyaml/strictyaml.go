// Package strictyaml reads hand-written YAML files whose schema is fixed: every fault of a file is reported at
// once with its path, line and remedy, scalars keep the text they were written with, and nothing is guessed.
// Anchors, aliases, merge keys, tags and several documents are refused, so a reviewer sees exactly what applies.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Limits of a file. They keep the recursion and the quadratic parts of the YAML library small: a stack that
// overflows ends the process, and no hand-written file comes near them.
const (
	MaxBytes  = 8 << 20
	MaxLine   = 8 << 10 // bytes
	MaxNested = 64      // brackets open at once, or dashes at the start of a line
)

// Fault is one thing wrong with a file. Message names the fix.
type Fault struct {
	Line    int    // from 1; 0 when the fault concerns the whole file
	Path    string // "teams[2].owner"
	Message string
}

// Error implements error.
func (f Fault) Error() string {
	switch {
	case f.Line == 0 && f.Path == "":
		return f.Message
	case f.Line == 0:
		return f.Path + ": " + f.Message
	default:
		return fmt.Sprintf("line %d: %s: %s", f.Line, f.Path, f.Message)
	}
}

// Faults collects what is wrong. The zero value is ready; it is not safe for concurrent use.
type Faults struct{ list []Fault }

// Add records a fault at n.
func (f *Faults) Add(n Node, format string, args ...any) {
	f.list = append(f.list, Fault{Line: n.line, Path: n.path, Message: fmt.Sprintf(format, args...)})
}

// Err returns all faults joined, in order of line, or nil.
func (f *Faults) Err() error {
	if len(f.list) == 0 {
		return nil
	}
	sort.SliceStable(f.list, func(i, j int) bool { return f.list[i].Line < f.list[j].Line })
	errs := make([]error, len(f.list))
	for i, fault := range f.list {
		errs[i] = fault
	}
	return errors.Join(errs...)
}

// Node is a place in the file. The zero Node is an absent value: its readers return zero values without a fault.
type Node struct {
	node   ast.Node
	path   string
	line   int
	faults *Faults
}

// Parse returns the root of a file that holds one YAML document. A syntax error is returned as the only error.
func Parse(b []byte, faults *Faults) (root Node, err error) {
	if err := checkLimits(b); err != nil {
		return Node{}, fmt.Errorf("parse yaml: %w", err)
	}
	// The YAML library panics on some malformed input; a configuration file must not end the process.
	defer func() {
		if r := recover(); r != nil {
			root, err = Node{}, errors.New("parse yaml: the file is malformed beyond recognition")
		}
	}()
	file, err := parser.ParseBytes(b, 0)
	if err != nil {
		// The library's text goes on with an excerpt of the file; the place and the cause are enough.
		text, _, _ := strings.Cut(err.Error(), "\n")
		return Node{}, fmt.Errorf("parse yaml: %s", text)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return Node{}, errors.New("parse yaml: the file holds several documents; keep one")
		}
		body = doc.Body
	}
	if body == nil {
		return Node{}, errors.New("parse yaml: the file is empty")
	}
	return Node{node: body, line: line(body), faults: faults}, nil
}

func checkLimits(b []byte) error {
	if len(b) > MaxBytes {
		return fmt.Errorf("the file is longer than %d bytes; split it", MaxBytes)
	}
	open, number := 0, 0
	for text := range bytes.Lines(b) {
		number++
		if len(text) > MaxLine {
			return fmt.Errorf("line %d is longer than %d bytes; break it", number, MaxLine)
		}
		if lead := text[:len(text)-len(bytes.TrimLeft(text, "-? \t"))]; bytes.Count(lead, []byte("-"))+bytes.Count(lead, []byte("?")) > MaxNested {
			return fmt.Errorf("line %d is nested too deeply", number)
		}
		for _, c := range text {
			switch c {
			case '[', '{':
				open++
			case ']', '}':
				open = max(open-1, 0)
			}
		}
		if open > MaxNested {
			return fmt.Errorf("line %d: more than %d brackets are open; close them", number, MaxNested)
		}
	}
	return nil
}

func line(n ast.Node) int {
	if tok := n.GetToken(); tok != nil && tok.Position != nil {
		return tok.Position.Line
	}
	return 0
}

// Present reports whether the value was written, and is not null.
func (n Node) Present() bool {
	if n.node == nil {
		return false
	}
	_, null := n.node.(*ast.NullNode)
	return !null
}

// Fault records a fault at n.
func (n Node) Fault(format string, args ...any) {
	if n.faults != nil {
		n.faults.Add(n, format, args...)
	}
}

// Path returns the place of n, as in "teams[2].owner".
func (n Node) Path() string { return n.path }

// Line returns the line of n, from 1.
func (n Node) Line() int { return n.line }

// Map is a mapping whose keys were checked against the known ones.
type Map struct {
	Node
	values map[string]Node
}

// Map reads a mapping; a key that is not known is a fault.
func (n Node) Map(known ...string) Map {
	entries := n.Entries()
	m := Map{Node: n, values: make(map[string]Node, len(entries))}
	for _, e := range entries {
		if !slices.Contains(known, e.Key) {
			e.Value.Fault("unknown key; known keys here are %s", strings.Join(known, ", "))
			continue
		}
		m.values[e.Key] = e.Value
	}
	return m
}

// Get returns the value of key, or the zero Node at the key's place.
func (m Map) Get(key string) Node {
	if v, ok := m.values[key]; ok {
		return v
	}
	return Node{path: join(m.path, key), line: m.line, faults: m.faults}
}

// Need returns the value of key and records a fault when it is absent or empty.
func (m Map) Need(key string) Node {
	v := m.Get(key)
	if !v.Present() {
		v.Fault("is missing; add it")
	}
	return v
}

// Entry is one key of a free-form mapping.
type Entry struct {
	Key   string
	Value Node
}

// Entries reads a mapping with free keys, in file order.
func (n Node) Entries() []Entry {
	if !n.Present() {
		return nil
	}
	var values []*ast.MappingValueNode
	switch m := n.node.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		n.Fault("must be a mapping of `key: value` lines, not %s", kind(n.node))
		return nil
	}
	entries := make([]Entry, 0, len(values))
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		key, ok := keyText(v.Key)
		at := Node{node: v.Value, path: join(n.path, key), line: line(v), faults: n.faults}
		switch {
		case !ok:
			at.Fault("the key must be plain text")
		case seen[key]:
			at.Fault("the key stands twice; remove one")
		default:
			seen[key] = true
			entries = append(entries, Entry{Key: key, Value: at})
		}
	}
	return entries
}

func keyText(k ast.MapKeyNode) (string, bool) {
	s, ok := k.(ast.ScalarNode)
	if !ok || k.IsMergeKey() {
		return "", false
	}
	return scalarText(s), true
}

// Items reads a sequence. A single scalar is not taken for a list of one.
func (n Node) Items() []Node {
	if !n.Present() {
		return nil
	}
	seq, ok := n.node.(*ast.SequenceNode)
	if !ok {
		n.Fault("must be a list (`- item` lines or [a, b]), not %s", kind(n.node))
		return nil
	}
	items := make([]Node, len(seq.Values))
	for i, v := range seq.Values {
		items[i] = Node{node: v, path: fmt.Sprintf("%s[%d]", n.path, i), line: n.line, faults: n.faults}
		if v != nil {
			items[i].line = line(v)
		}
	}
	return items
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or alias (write the value out)"
	case *ast.TagNode:
		return "a tagged value (remove the tag)"
	default:
		return "a single value"
	}
}
