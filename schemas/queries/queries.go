package queries

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed sql/*.sql
var files embed.FS

// ErrUnknownQuery reports a name that no canned query has.
var ErrUnknownQuery = errors.New("unknown query")

// Query is one canned query.
type Query struct {
	Name       string      `yaml:"name"`       // as typed by a user, e.g. "who-used-model"
	Title      string      `yaml:"title"`      // heading
	Question   string      `yaml:"question"`   // the question it answers
	Parameters []Parameter `yaml:"parameters"` // in the order in which help lists them
	SQL        string      `yaml:"-"`          // statement with {name:Type} parameters, without semicolon
}

// Parameter is one value that a query takes.
type Parameter struct {
	Name        string   `yaml:"name"`
	Type        Type     `yaml:"type"`
	Required    bool     `yaml:"required"` // no default: the caller must give a value that is not empty
	Default     string   `yaml:"default"`  // in the form a user types, e.g. "now-24h"
	Values      []string `yaml:"values"`   // the accepted values; any when empty
	Description string   `yaml:"description"`
}

// Type is the ClickHouse type of a parameter.
type Type string

// The types that canned queries use.
const (
	TypeString   Type = "String"
	TypeDateTime Type = "DateTime('UTC')"
	TypeUInt32   Type = "UInt32"
	TypeBool     Type = "Bool"
)

// List returns every canned query, sorted by name.
func List() ([]Query, error) {
	entries, err := fs.ReadDir(files, "sql")
	if err != nil {
		return nil, fmt.Errorf("list queries: %w", err)
	}
	out := make([]Query, 0, len(entries))
	for _, e := range entries {
		q, err := Get(strings.TrimSuffix(e.Name(), ".sql"))
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	slices.SortFunc(out, func(a, b Query) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Get returns the canned query of that name, or ErrUnknownQuery.
func Get(name string) (Query, error) {
	text, err := files.ReadFile(path.Join("sql", name+".sql"))
	if err != nil {
		return Query{}, fmt.Errorf("get query %q: %w", name, ErrUnknownQuery)
	}
	q, err := parse(string(text))
	if err != nil {
		return Query{}, fmt.Errorf("parse query %s: %w", name, err)
	}
	return q, nil
}

// parse reads a file that begins with a YAML header inside one block comment.
func parse(text string) (Query, error) {
	body, found := strings.CutPrefix(text, "/*\n")
	if !found {
		return Query{}, errors.New("header comment is missing")
	}
	header, sql, found := strings.Cut(body, "*/\n")
	if !found {
		return Query{}, errors.New("header comment is not closed")
	}
	var q Query
	if err := yaml.UnmarshalWithOptions([]byte(header), &q, yaml.Strict()); err != nil {
		return Query{}, fmt.Errorf("read header: %w", err)
	}
	q.SQL = strings.TrimSpace(sql)
	return q, nil
}
