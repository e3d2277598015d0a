package dashboards

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/dashboards/board"
	"github.com/modeltrail/modeltrail/dashboards/definition"
)

func TestCommittedBoardsAreWhatTheDefinitionsSay(t *testing.T) {
	files, err := Boards()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, b := range definition.All() {
		name := b.UID + ".json"
		want = append(want, name)
		text, err := board.Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		committed, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(text), string(committed)); diff != "" {
			t.Errorf("%s is stale; run `go generate ./dashboards` (-definition +committed):\n%.2000s", name, diff)
		}
	}
	got, err := fs.Glob(files, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestBoardsKeepTheirAddressesAndFitTheGrid(t *testing.T) {
	uids := map[string]bool{}
	for _, b := range definition.All() {
		uids[b.UID] = true
		ids := map[int]bool{}
		taken := map[[2]int]string{}
		for _, p := range b.Panels {
			if ids[p.ID] || p.Title == "" {
				t.Errorf("%s: panel %q has the id %d twice or no title", b.Title, p.Title, p.ID)
			}
			ids[p.ID] = true
			if p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: %s is wider than the board", b.Title, p.Title)
			}
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if taken[at] != "" {
						t.Fatalf("%s: %s covers %s", b.Title, p.Title, taken[at])
					}
					taken[at] = p.Title
				}
			}
		}
	}
	// Links, alerts and bookmarks point to these; they never change.
	if diff := cmp.Diff(map[string]bool{"modeltrail-overview": true, "modeltrail-spend": true, "modeltrail-policy": true}, uids); diff != "" {
		t.Errorf("uids (-want +got):\n%s", diff)
	}
}

func TestQueriesReadNoBodiesAndQuoteVariables(t *testing.T) {
	unsafe := regexp.MustCompile(`\$\{\w+(:raw)?\}`)
	for _, b := range definition.All() {
		for _, p := range b.Panels {
			for _, target := range p.Targets {
				if strings.Contains(target.RawSQL, "payloads") || strings.Contains(target.RawSQL, "dead_letters") {
					t.Errorf("%s, %s reads bodies, which the dashboards role may not", b.Title, p.Title)
				}
				if found := unsafe.FindString(target.RawSQL); found != "" {
					t.Errorf("%s, %s: %s is not escaped; use :sqlstring", b.Title, p.Title, found)
				}
				if !strings.Contains(target.RawSQL, "$__t") && !strings.Contains(target.RawSQL, "$__fromTime") {
					t.Errorf("%s, %s ignores the time range", b.Title, p.Title)
				}
			}
		}
	}
}

func TestProvisioningHoldsNoSecretAndNamesTheDataSource(t *testing.T) {
	files, err := Provisioning()
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(files, "datasources/modeltrail.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var source struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type     string
			IsDefault, Editable bool
			JSONData            map[string]any    `yaml:"jsonData"`
			SecureJSONData      map[string]string `yaml:"secureJsonData"`
		}
	}
	if err := yaml.Unmarshal(text, &source); err != nil {
		t.Fatal(err)
	}
	ds := source.Datasources[0]
	if ds.UID != "modeltrail-clickhouse" || ds.Type != board.PluginType || ds.SecureJSONData["password"] != "${MODELTRAIL_CLICKHOUSE_PASSWORD}" {
		t.Errorf("data source is %+v", ds)
	}
	for _, key := range []string{"host", "port", "protocol", "username", "defaultDatabase"} {
		if value, _ := ds.JSONData[key].(string); !strings.HasPrefix(value, "${MODELTRAIL_CLICKHOUSE_") {
			t.Errorf("%s is %v, want an environment variable", key, ds.JSONData[key])
		}
	}
	text, err = fs.ReadFile(files, "dashboards/modeltrail.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var provider struct {
		Providers []struct {
			Type    string
			Options map[string]string
		}
	}
	if err := yaml.Unmarshal(text, &provider); err != nil || len(provider.Providers) != 1 || provider.Providers[0].Options["path"] != "${MODELTRAIL_BOARDS}" {
		t.Errorf("provider is %+v (%v)", provider, err)
	}
}
