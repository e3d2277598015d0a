package board

import "strings"

// New returns an empty board with the variables team, app, provider and model and a link to the other boards.
func New(uid, title, description, from string) *Builder {
	source := &Datasource{Type: PluginType, UID: "${datasource}"}
	b := Board{
		UID: uid, Title: title, Description: description,
		Tags: []string{"modeltrail"}, Timezone: "browser", Editable: true, GraphTooltip: 1, Refresh: "1m",
		SchemaVersion: SchemaVersion, Version: 1,
		Time:        TimeRange{From: from, To: "now"},
		Links:       []Link{{Type: "dashboards", Title: "ModelTrail", Tags: []string{"modeltrail"}, KeepTime: true, IncludeVars: true}},
		Annotations: List{List: []any{}},
	}
	b.Templating.List = append(b.Templating.List, Variable{
		Name: "datasource", Label: "Data source", Type: "datasource", Query: PluginType, Options: []any{},
		Current: map[string]any{"text": "ModelTrail", "value": "modeltrail-clickhouse"},
	})
	for _, v := range []struct{ name, label, column string }{
		{"team", "Team", "team_id"}, {"app", "Application", "app_id"}, {"provider", "Provider", "provider"}, {"model", "Model", "model"},
	} {
		sql := "SELECT DISTINCT " + v.column + " FROM spend_hourly WHERE $__timeFilter(hour) AND " + v.column + " != '' ORDER BY " + v.column + " LIMIT 1000"
		b.Templating.List = append(b.Templating.List, Variable{
			Name: v.name, Label: v.label, Type: "query", Datasource: source, Query: sql, Definition: sql,
			Multi: true, IncludeAll: true, Refresh: 2, Sort: 1, Options: []any{},
			Current: map[string]any{"text": []string{"All"}, "value": []string{"$__all"}, "selected": true},
		})
	}
	return &Builder{board: b, source: source}
}

// Builder places panels row by row.
type Builder struct {
	board  Board
	source *Datasource
	y      int
}

// Spec describes a panel before it is placed.
type Spec struct {
	Type        string
	Title       string
	Description string
	Width       int // of 24
	Unit        string
	Decimals    *int
	Interval    string
	SQL         string
	Series      bool // the result is a time series
	Defaults    map[string]any
	Overrides   []Override
	Options     map[string]any
}

// Heading adds a row with a title.
func (b *Builder) Heading(title string) {
	b.board.Panels = append(b.board.Panels, Panel{
		ID: len(b.board.Panels) + 1, Type: "row", Title: title, GridPos: GridPos{H: 1, W: 24, Y: b.y},
	})
	b.y++
}

// Row adds panels side by side with the same height.
func (b *Builder) Row(height int, specs ...Spec) {
	x := 0
	for _, s := range specs {
		b.board.Panels = append(b.board.Panels, b.panel(s, GridPos{H: height, W: s.Width, X: x, Y: b.y}))
		x += s.Width
	}
	b.y += height
}

// Board returns what was built.
func (b *Builder) Board() Board { return b.board }

func (b *Builder) panel(s Spec, at GridPos) Panel {
	defaults := map[string]any{"mappings": []any{}}
	for k, v := range s.Defaults {
		defaults[k] = v
	}
	if s.Unit != "" {
		defaults["unit"] = s.Unit
	}
	if s.Decimals != nil {
		defaults["decimals"] = *s.Decimals
	}
	target := Target{
		RefID: "A", Datasource: b.source, EditorType: "sql", QueryType: "table", Format: FormatTable,
		PluginVersion: PluginVersion, RawSQL: strings.TrimSpace(s.SQL),
	}
	if s.Series {
		target.QueryType, target.Format = "timeseries", FormatTimeSeries
	}
	overrides := s.Overrides
	if overrides == nil {
		overrides = []Override{}
	}
	return Panel{
		ID: len(b.board.Panels) + 1, Type: s.Type, Title: s.Title, Description: s.Description, GridPos: at,
		Datasource: b.source, Interval: s.Interval,
		FieldConfig: &FieldConfig{Defaults: defaults, Overrides: overrides},
		Options:     s.Options,
		Targets:     []Target{target},
	}
}
