package config

import (
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml"
)

// Effective returns the configuration as YAML without secrets: every key with all, else those that differ from the
// defaults.
func (c Config) Effective(all bool) ([]byte, error) {
	own, err := keys(c)
	if err != nil || all {
		return marshal(own, err)
	}
	standard, err := keys(Default())
	if err != nil {
		return nil, err
	}
	return marshal(differing(own, standard), nil)
}

func marshal(own yaml.MapSlice, err error) ([]byte, error) {
	if err != nil || len(own) == 0 {
		return nil, err
	}
	text, err := yaml.Marshal(own)
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return text, nil
}

// keys reads the configuration back as it is written, so that secrets are already redacted and order is kept.
func keys(c Config) (yaml.MapSlice, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	var out yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(text, &out, yaml.UseOrderedMap()); err != nil {
		return nil, fmt.Errorf("read configuration back: %w", err)
	}
	return out, nil
}

// differing keeps the keys whose values are not the standard ones. A list is kept whole.
func differing(own, standard yaml.MapSlice) yaml.MapSlice {
	usual := map[any]any{}
	for _, item := range standard {
		usual[item.Key] = item.Value
	}
	var out yaml.MapSlice
	for _, item := range own {
		section, isSection := item.Value.(yaml.MapSlice)
		other, both := usual[item.Key].(yaml.MapSlice)
		switch {
		case isSection && both:
			if rest := differing(section, other); len(rest) > 0 {
				out = append(out, yaml.MapItem{Key: item.Key, Value: rest})
			}
		case !reflect.DeepEqual(item.Value, usual[item.Key]):
			out = append(out, yaml.MapItem{Key: item.Key, Value: said(item.Value)})
		}
	}
	return out
}

// said leaves out what the elements of a list do not say: an element has no default to compare with.
func said(value any) any {
	switch v := value.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = said(v[i])
		}
		return out
	case yaml.MapSlice:
		var out yaml.MapSlice
		for _, item := range v {
			if rest := said(item.Value); !silent(rest) {
				out = append(out, yaml.MapItem{Key: item.Key, Value: rest})
			}
		}
		return out
	}
	return value
}

// silent reports a value that says nothing. A false may have been said.
func silent(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return false
	case []any:
		return len(v) == 0
	case yaml.MapSlice:
		return len(v) == 0
	}
	return reflect.ValueOf(value).IsZero() || value == "0s"
}
