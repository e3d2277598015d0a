package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/modeltrail/modeltrail/schemas/secret"
)

// SchemaID names the JSON Schema of the configuration.
const SchemaID = "https://modeltrail.dev/schemas/config.schema.json"

// JSONSchema returns the JSON Schema (2020-12) of the configuration file, for editors and checks.
func JSONSchema() ([]byte, error) {
	reflector := jsonschema.Reflector{
		FieldNameTag:               "yaml",
		DoNotReference:             true,
		RequiredFromJSONSchemaTags: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[time.Duration]():
				return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`}
			case reflect.TypeFor[secret.Secret]():
				return secretSchema()
			}
			return nil
		},
	}
	schema := reflector.Reflect(&Config{})
	settle(schema, reflect.ValueOf(Default()))
	schema.ID = SchemaID
	schema.Title = "ModelTrail configuration"
	out, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return append(out, '\n'), nil
}

// settle gives every property the default that is in force: sections that share a struct differ in theirs.
func settle(schema *jsonschema.Schema, v reflect.Value) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		property, ok := schema.Properties.Get(name)
		if !ok {
			continue
		}
		field := v.Field(i)
		switch {
		case field.Type() == reflect.TypeFor[secret.Secret]():
		case field.Kind() == reflect.Struct:
			settle(property, field)
		case !unset(field):
			property.Description = withoutDefault(property.Description)
			property.Default = field.Interface()
			if d, ok := field.Interface().(time.Duration); ok {
				property.Default = d.String()
			}
		}
	}
}

var defaultClause = regexp.MustCompile(`[.;] [Dd]efault (is )?[^ ]+?([.;]|, which)( |$)`)

// withoutDefault removes the plain default from a description that stands beside the value in force.
func withoutDefault(text string) string {
	return strings.TrimSpace(defaultClause.ReplaceAllString(text, ". "))
}

func secretSchema() *jsonschema.Schema {
	source := &jsonschema.Schema{Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema}
	source.Properties.Set("env", &jsonschema.Schema{Type: "string", Description: "Environment variable that holds the secret."})
	source.Properties.Set("file", &jsonschema.Schema{Type: "string", Description: "File that holds the secret."})
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, source}}
}

// key is one documented key of the file.
type key struct {
	path, kind, value, text string
}

// Reference returns the page that documents every key with its default.
func Reference() ([]byte, error) {
	var keys []key
	if err := walk("", reflect.ValueOf(Default()), &keys); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString(referenceHead)
	section := ""
	for _, k := range keys {
		first, rest, _ := strings.Cut(k.path, ".")
		if first != section {
			section = first
			fmt.Fprintf(&out, "\n## %s\n\n", section)
			if rest == "" && k.kind == "section" {
				fmt.Fprintf(&out, "%s\n\n", k.text)
			}
			out.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
			if rest == "" && k.kind == "section" {
				continue
			}
		}
		if k.kind == "section" {
			continue
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", k.path, k.kind, k.value, strings.ReplaceAll(k.text, "|", "\\|"))
	}
	return out.Bytes(), nil
}

const referenceHead = `# Configuration

One YAML file, given with ` + "`--config`" + `. Every key has a default; a key that does not exist is an error.
Durations are written as ` + "`10s`, `5m`, `168h`" + `. A secret is ` + "`{env: NAME}` or `{file: PATH}`" + `; a plain
string works and ` + "`modeltrail config check`" + ` warns of it. Editors can check the file against
` + "`docs/config.schema.json`" + `. This page is generated from the code.
`

func walk(path string, v reflect.Value, keys *[]key) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if name == "-" { // set by code, not by the file
			continue
		}
		if name == "" {
			return fmt.Errorf("configuration field %s has no yaml name", field.Name)
		}
		text := field.Tag.Get("jsonschema_description")
		full := strings.TrimPrefix(path+"."+name, ".")
		if text == "" {
			return fmt.Errorf("configuration key %s is not documented", full)
		}
		kind := field.Type
		switch {
		case kind.Kind() == reflect.Struct && kind != reflect.TypeFor[secret.Secret]():
			*keys = append(*keys, key{full, "section", "", text})
			if err := walk(full, v.Field(i), keys); err != nil {
				return err
			}
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct && kind.Elem() != reflect.TypeFor[secret.Secret]():
			*keys = append(*keys, key{full, "list", "none", text})
			if err := walk(full+"[]", reflect.Zero(kind.Elem()), keys); err != nil {
				return err
			}
		default:
			if !unset(v.Field(i)) {
				text = withoutDefault(text)
			}
			value := defaultText(v.Field(i))
			if strings.Contains(full, "[]") {
				value = "none" // an element's own default is in the text
			}
			*keys = append(*keys, key{full, typeName(kind), value, text})
		}
	}
	return nil
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[secret.Secret]():
		return "secret"
	case t.Kind() == reflect.Slice:
		return "list of " + typeName(t.Elem())
	case t.Kind() == reflect.Map:
		return "map of " + typeName(t.Elem())
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t.Kind() == reflect.Bool:
		return "bool"
	case t.Kind() == reflect.String:
		return "string"
	case t.Kind() == reflect.Float64:
		return "number"
	}
	return "integer"
}

// unset reports a key that has no default of its own: the text says what that means.
func unset(v reflect.Value) bool {
	return v.IsZero() && v.Kind() != reflect.Bool
}

func defaultText(v reflect.Value) string {
	if unset(v) && !v.CanInt() && !v.CanUint() && !v.CanFloat() {
		return "none"
	}
	if v.Kind() == reflect.Slice {
		var parts []string
		for i := range v.Len() {
			parts = append(parts, fmt.Sprintf("`%v`", v.Index(i).Interface()))
		}
		return strings.Join(parts, " ")
	}
	return fmt.Sprintf("`%v`", v.Interface())
}
