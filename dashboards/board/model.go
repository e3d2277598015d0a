// Package board holds the parts of Grafana's dashboard model that ModelTrail's boards use, and builds panels so that
// all boards share units, colours and filters. It renders JSON; it runs nothing.
package board

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// SchemaVersion is the version of Grafana's dashboard JSON that the boards are written in. Grafana migrates an older
// version when it loads a board, so it need not be the newest.
const SchemaVersion = 41

// PluginType is the id of the ClickHouse data source plugin.
const PluginType = "grafana-clickhouse-datasource"

// PluginVersion is the plugin version whose query model the boards use.
const PluginVersion = "4.0.0"

// Board is one dashboard.
type Board struct {
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Tags          []string   `json:"tags"`
	Timezone      string     `json:"timezone"`
	Editable      bool       `json:"editable"`
	GraphTooltip  int        `json:"graphTooltip"`
	Refresh       string     `json:"refresh"`
	SchemaVersion int        `json:"schemaVersion"`
	Version       int        `json:"version"`
	Time          TimeRange  `json:"time"`
	Links         []Link     `json:"links"`
	Annotations   List       `json:"annotations"`
	Templating    Templating `json:"templating"`
	Panels        []Panel    `json:"panels"`
}

// TimeRange is the range a board opens with, in Grafana's relative form.
type TimeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Link is a link in a board's head.
type Link struct {
	AsDropdown  bool     `json:"asDropdown"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
	Tags        []string `json:"tags"`
	Title       string   `json:"title"`
	Type        string   `json:"type"`
}

// List is an empty list inside an object, as Grafana wants it.
type List struct {
	List []any `json:"list"`
}

// Templating holds a board's variables.
type Templating struct {
	List []Variable `json:"list"`
}

// Variable is a template variable.
type Variable struct {
	Name       string         `json:"name"`
	Label      string         `json:"label"`
	Type       string         `json:"type"` // "query" or "datasource"
	Datasource *Datasource    `json:"datasource,omitempty"`
	Query      string         `json:"query"`
	Definition string         `json:"definition,omitempty"`
	Multi      bool           `json:"multi"`
	IncludeAll bool           `json:"includeAll"`
	Refresh    int            `json:"refresh"` // 2: when the time range changes
	Sort       int            `json:"sort"`    // 1: by name
	Regex      string         `json:"regex"`
	Hide       int            `json:"hide"`
	Options    []any          `json:"options"`
	Current    map[string]any `json:"current"`
}

// Datasource refers to a data source.
type Datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Panel is one panel or row.
type Panel struct {
	ID          int            `json:"id"`
	Type        string         `json:"type"` // stat, timeseries, table, piechart, row ...
	Title       string         `json:"title"`
	Description string         `json:"description,omitempty"`
	GridPos     GridPos        `json:"gridPos"`
	Datasource  *Datasource    `json:"datasource,omitempty"`
	Interval    string         `json:"interval,omitempty"` // least width of a point
	FieldConfig *FieldConfig   `json:"fieldConfig,omitempty"`
	Options     map[string]any `json:"options,omitempty"`
	Targets     []Target       `json:"targets,omitempty"`
}

// GridPos places a panel on the 24 columns of a board.
type GridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

// FieldConfig says how values are shown.
type FieldConfig struct {
	Defaults  map[string]any `json:"defaults"`
	Overrides []Override     `json:"overrides"`
}

// Override changes how one column is shown.
type Override struct {
	Matcher    map[string]string `json:"matcher"`
	Properties []Property        `json:"properties"`
}

// Property is one changed setting.
type Property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

// Formats of a query's result in the plugin's query model.
const (
	FormatTimeSeries = 0
	FormatTable      = 1
)

// Target is one query.
type Target struct {
	RefID         string      `json:"refId"`
	Datasource    *Datasource `json:"datasource"`
	EditorType    string      `json:"editorType"`
	QueryType     string      `json:"queryType"`
	Format        int         `json:"format"`
	PluginVersion string      `json:"pluginVersion"`
	RawSQL        string      `json:"rawSql"`
}

// Encode renders a board as indented JSON with a closing newline.
func Encode(b Board) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // SQL stays readable
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(b); err != nil {
		return nil, fmt.Errorf("encode board %s: %w", b.UID, err)
	}
	return text.Bytes(), nil
}

// Decode reads a board's JSON; unknown keys are left out.
func Decode(text []byte) (Board, error) {
	var b Board
	if err := json.Unmarshal(text, &b); err != nil {
		return Board{}, fmt.Errorf("decode board: %w", err)
	}
	return b, nil
}
