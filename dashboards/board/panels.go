package board

import "sort"

// Stat is a single figure.
func Stat(width int, title, description, unit, sql string) Spec {
	return Spec{
		Type: "stat", Title: title, Description: description, Width: width, Unit: unit, SQL: sql,
		Defaults: map[string]any{"color": map[string]any{"mode": "thresholds"}, "thresholds": thresholds(nil)},
		Options: map[string]any{
			"colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
			"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		},
	}
}

// Alarm is a single figure that turns red from the given value on.
func Alarm(width int, title, description, unit string, red float64, sql string) Spec {
	s := Stat(width, title, description, unit, sql)
	s.Defaults["thresholds"] = thresholds(&red)
	return s
}

// Lines is a time series drawn as lines.
func Lines(width int, title, description, unit, sql string) Spec {
	return series(width, title, description, unit, sql, map[string]any{
		"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "spanNulls": false,
		"stacking": map[string]any{"mode": "none", "group": "A"},
	})
}

// Bars is a time series drawn as stacked bars.
func Bars(width int, title, description, unit, sql string) Spec {
	return series(width, title, description, unit, sql, map[string]any{
		"drawStyle": "bars", "lineWidth": 0, "fillOpacity": 80, "showPoints": "never",
		"stacking": map[string]any{"mode": "normal", "group": "A"},
	})
}

func series(width int, title, description, unit, sql string, custom map[string]any) Spec {
	return Spec{
		Type: "timeseries", Title: title, Description: description, Width: width, Unit: unit, SQL: sql, Series: true,
		Defaults: map[string]any{"color": map[string]any{"mode": "palette-classic"}, "custom": custom, "min": 0},
		Options: map[string]any{
			"legend":  map[string]any{"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": []string{"sum", "max"}},
			"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
		},
	}
}

// Named shows each series of a time series by the value of its label alone.
func (s Spec) Named(label string) Spec {
	s.Defaults["displayName"] = "${__field.labels." + label + "}"
	return s
}

// Pie is shares of a whole: the first column names, the second counts.
func Pie(width int, title, description, unit, sql string) Spec {
	return Spec{
		Type: "piechart", Title: title, Description: description, Width: width, Unit: unit, SQL: sql,
		Defaults: map[string]any{"color": map[string]any{"mode": "palette-classic"}},
		Options: map[string]any{
			"pieType": "donut", "displayLabels": []string{"percent"},
			"legend":        map[string]any{"displayMode": "table", "placement": "right", "showLegend": true, "values": []string{"value", "percent"}},
			"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": true},
		},
	}
}

// BarChart is one bar for each row: the first column names, the others are values.
func BarChart(width int, title, description, unit, sql string) Spec {
	return Spec{
		Type: "barchart", Title: title, Description: description, Width: width, Unit: unit, SQL: sql,
		Defaults: map[string]any{"color": map[string]any{"mode": "palette-classic"}, "custom": map[string]any{"fillOpacity": 80, "lineWidth": 0}},
		Options: map[string]any{
			"orientation": "horizontal", "showValue": "auto", "stacking": "none", "groupWidth": 0.7, "barWidth": 0.9,
			"legend": map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true},
		},
	}
}

// Table is rows and columns; units are given by column name.
func Table(width int, title, description, sql string, units map[string]string) Spec {
	s := Spec{
		Type: "table", Title: title, Description: description, Width: width, SQL: sql,
		Defaults: map[string]any{"custom": map[string]any{"align": "auto", "filterable": true, "cellOptions": map[string]any{"type": "auto"}}},
		Options:  map[string]any{"showHeader": true, "cellHeight": "sm", "footer": map[string]any{"show": false, "reducer": []string{"sum"}, "fields": ""}},
	}
	for _, column := range sortedKeys(units) {
		s.Overrides = append(s.Overrides, Column(column, Property{ID: "unit", Value: units[column]}))
	}
	return s
}

// Column is an override of one column by its name.
func Column(name string, properties ...Property) Override {
	return Override{Matcher: map[string]string{"id": "byName", "options": name}, Properties: properties}
}

// Gauge shows a column of shares as a bar that turns yellow at 0.8 and red at 1.
func Gauge(name string) Override {
	return Column(name,
		Property{ID: "unit", Value: "percentunit"},
		Property{ID: "min", Value: 0},
		Property{ID: "max", Value: 1},
		Property{ID: "custom.cellOptions", Value: map[string]any{"type": "gauge", "mode": "basic"}},
		Property{ID: "thresholds", Value: map[string]any{"mode": "absolute", "steps": []any{
			map[string]any{"color": "green", "value": nil},
			map[string]any{"color": "yellow", "value": 0.8},
			map[string]any{"color": "red", "value": 1},
		}}})
}

func thresholds(red *float64) map[string]any {
	steps := []any{map[string]any{"color": "text", "value": nil}}
	if red != nil {
		steps = []any{map[string]any{"color": "green", "value": nil}, map[string]any{"color": "red", "value": *red}}
	}
	return map[string]any{"mode": "absolute", "steps": steps}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
