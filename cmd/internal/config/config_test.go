package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const docs = "../../../docs"

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t *testing.T, text string) Config {
	t.Helper()
	cfg := Default()
	if err := Parse([]byte(text), &cfg); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

func fault(t *testing.T, text string) string {
	t.Helper()
	cfg := Default()
	err := Parse([]byte(text), &cfg)
	if err == nil {
		t.Fatalf("no error for:\n%s", text)
	}
	return err.Error()
}

// secrets makes the secret files that the example of the compose file names, and returns the text with their paths.
func secrets(t *testing.T, text []byte) string {
	t.Helper()
	dir := t.TempDir()
	out := strings.ReplaceAll(string(text), "/run/secrets/", dir+"/")
	for _, name := range []string{
		"clickhouse_password", "clickhouse_store_password", "clickhouse_detect_password", "credential_key", "kafka_password", "receive_token",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("an-example-secret-of-48-characters-0123456789abc"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// uncommented removes the comment signs of the sections that the example shows as a suggestion.
func uncommented(text []byte) string {
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, "# "); ok && (strings.HasPrefix(rest, "  ") || strings.HasSuffix(rest, ":")) && i > 2 {
			lines[i] = rest
		}
	}
	return strings.Join(lines, "\n")
}

func TestDefault_IsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestParse_WhatSaysNothing_IsTheDefault(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "line end": "\n", "comments": "# a\n# b\n", "document mark": "---\n", "null": "~",
		"sections without keys": "tap:\nkafka:\n  # brokers: [a:1]\nstore:\n  envelopes:\n",
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, text)
			if diff := cmp.Diff(fmt.Sprintf("%+v", Default()), fmt.Sprintf("%+v", cfg)); diff != "" {
				t.Errorf("(-default +parsed):\n%s", diff)
			}
		})
	}
}

func TestParse_NamesLineAndKeyOfAFault(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown section":     {"data_dir: x\ntapp: {}\n", `tapp: [2:1] unknown field "tapp"`},
		"unknown key":         {"tap:\n  lissten: x\n", `tap.lissten: [2:3] unknown field "lissten"`},
		"unknown key in list": {"tap:\n  routes:\n    - name: a\n    - dialekt: y\n", `tap.routes[1].dialekt: [4:7] unknown field "dialekt"`},
		"wrong type":          {"tap:\n  workers: many\n", "tap.workers: [2:12] cannot unmarshal string"},
		"number out of range": {"tap: {workers: 99999999999999999999}", "tap.workers: [1:16] cannot unmarshal"},
		"no duration":         {"store:\n  envelopes:\n    flush_interval: soon\n", `store.envelopes.flush_interval: [3:21] time: invalid duration "soon"`},
		"duration in a list":  {"tap: {routes: [{name: a}, {connect_timeout: x}]}", "tap.routes[1].connect_timeout: [1:45]"},
		"unset variable":      {"clickhouse:\n  password: {env: MODELTRAIL_UNSET}\n", "clickhouse.password.env: [2:19] environment variable MODELTRAIL_UNSET is not set"},
		"missing secret file": {"clickhouse:\n  password: {file: /nonexistent}\n", "clickhouse.password.file: [2:20]"},
		"secret of no form":   {"clickhouse:\n  password: {vault: x}\n", "clickhouse.password.vault: [2:14] a secret is"},
		"key given twice":     {"data_dir: a\ndata_dir: b\n", "[2:1]"},
		"not closed":          {"tap: [a", "[1:6]"},
		"no mapping":          {"hello", "[1:1]"},
		"two documents":       {"data_dir: a\n---\ndata_dir: b\n", "2 documents"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fault(t, c.text); !strings.Contains(got, c.want) {
				t.Errorf("error is %q; want %q in it", got, c.want)
			}
		})
	}
}

func TestValidate_NamesEveryFaultWithItsKey(t *testing.T) {
	got := fault(t, `
log: {level: loud, format: xml}
admin: {listen: nowhere}
kafka: {brokers: [kafka], cluster: "", topics: {events: same, findings: same, partitions: 0, replication_factor: 0}, sasl: {mechanism: NTLM}, tls: {cert_file: a}}
broker: {listen: "0.0.0.0:9092"}
clickhouse: {protocol: smtp, max_open_conns: 0}
engine: {mode: x}
schema: {deduplication_window: 0, database: elsewhere}
prices: {format: csv}
store: {envelopes: {max_batch_rows: 0}, findings: {flush_interval: 0s}}
enrich: {stream: {group: ""}}
detect: {stream: {drain_timeout: 0s}}
alert: {stream: {retry_min: 0s}}
directory: {reload_interval: 1ms, activation_delay: -1s}
data_dir: ""
`)
	for _, want := range []string{
		"log.level:", "log.format:", "admin.listen:", "kafka.brokers[0]:", "kafka.cluster:", "kafka.topics.findings:", "kafka.topics.partitions:",
		"kafka.topics.replication_factor:", "kafka.sasl.mechanism:", "kafka.tls:", "broker.listen:", "clickhouse.protocol:",
		"clickhouse.max_open_conns:", "engine.mode:", "schema.deduplication_window:", "schema.database:", "prices.format:",
		"store.envelopes.max_batch_rows:", "store.findings.flush_interval:", "enrich.stream.group:", "detect.stream.drain_timeout:",
		"alert.stream.retry_min:", "directory.reload_interval:", "directory.activation_delay:", "data_dir:",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the error lacks %s\n%s", want, got)
		}
	}
}

func TestLoad_OfAFileThatIsNotThere_SaysHowToGetOne(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if err == nil || !strings.Contains(err.Error(), "modeltrail config example") {
		t.Errorf("error is %v", err)
	}
}

func TestLoad_OfAHugeFile_Refuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(path, bytes.Repeat([]byte("# x\n"), 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("error is %v", err)
	}
}

const planted = "planted-secret-0123456789"

func TestSecrets_StandInNoOutputAndNoError(t *testing.T) {
	text := "clickhouse: {password: " + planted + "}\nkafka: {sasl: {mechanism: PLAIN, user: u, password: " + planted + "}}\n" +
		"tap: {credential: {key: " + planted + planted + "}, routes: [{name: a, prefix: /a, upstream: \"http://a\", set_headers: [{name: x, secret: " + planted + "}]}]}\n"
	cfg := parse(t, text)
	if cfg.ClickHouse.Password.Value() != planted {
		t.Fatal("the secret was not read")
	}
	out, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]string{
		"effective configuration": string(out), "%v": fmt.Sprintf("%v", cfg), "%+v": fmt.Sprintf("%+v", cfg), "%#v": fmt.Sprintf("%#v", cfg),
		"warnings": strings.Join(cfg.Warnings(), "\n"),
		"faults":   fault(t, text+"bad: 1\n"), "faults of values": fault(t, text+"data_dir: \"\"\nlog: {level: x}\n"),
		"fault beside the secret": fault(t, "clickhouse: {password: "+planted+", pasword: x}\n"),
		"fault of the secret":     fault(t, "clickhouse: {password: ["+planted+"]}\n"),
		"fault of its key":        fault(t, "clickhouse: {password: {value: "+planted+"}}\n"),
	} {
		if strings.Contains(got, planted) {
			t.Errorf("%s shows the secret:\n%s", what, got)
		}
	}
	for _, want := range []string{"clickhouse.password", "kafka.sasl.password", "tap.credential.key", "tap.routes[0].set_headers[0].secret"} {
		if !strings.Contains(strings.Join(cfg.Warnings(), "\n"), want) {
			t.Errorf("no warning that %s stands in clear", want)
		}
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(SchemaID, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func value(t *testing.T, text string) any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestExamples_ParseAndSatisfyTheSchema(t *testing.T) {
	t.Setenv("CLICKHOUSE_PASSWORD", "x")
	t.Setenv("SOC_WEBHOOK_URL", "https://soc.example.com/hook")
	t.Setenv("SOC_WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	schema := compiled(t)
	examples := map[string]string{
		"example":                     string(Example()),
		"example, suggestions active": secrets(t, []byte(uncommented(Example()))),
	}
	files, err := filepath.Glob(docs + "/examples/compose/*.yaml")
	if err != nil || len(files) != 7 {
		t.Fatalf("compose has %d configurations, %v", len(files), err)
	}
	for _, file := range files {
		examples["compose/"+filepath.Base(file)] = secrets(t, read(t, file))
	}
	for name, text := range examples {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, text)
			if (!strings.HasPrefix(name, "compose") || name == "compose/tap.yaml") && len(cfg.Tap.Routes) < 2 {
				t.Errorf("%d routes", len(cfg.Tap.Routes))
			}
			if err := schema.Validate(value(t, text)); err != nil {
				t.Errorf("schema: %v", err)
			}
		})
	}
}

func TestJSONSchema_RefusesWhatTheProgramRefuses(t *testing.T) {
	schema := compiled(t)
	for _, text := range []string{
		"tapp: {}", "tap: {lissten: x}", "tap: {workers: many}", "store: {envelopes: {flush_interval: soon}}", "log: {level: loud}",
		"clickhouse: {password: {vault: x}}", "tap: {routes: [{dialekt: x}]}", "kafka: {brokers: 3}",
	} {
		if err := schema.Validate(value(t, text)); err == nil {
			t.Errorf("the schema accepts %s", text)
		}
	}
	effective, err := yaml.Marshal(Default())
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value(t, string(effective))); err != nil {
		t.Errorf("the schema refuses the defaults: %v", err)
	}
}

func TestDocs_AreCurrent(t *testing.T) {
	page, err := Reference()
	if err != nil {
		t.Fatal(err)
	}
	schema, err := JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"configuration.md": page, "config.schema.json": schema} {
		got, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/%s is stale (%v): run make generate", name, err)
		}
	}
}

// TestReference_TellsTheDefaultsThatAreInForce compares what a description says with what is.
func TestReference_TellsTheDefaultsThatAreInForce(t *testing.T) {
	page, err := Reference()
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 4 || !strings.HasPrefix(strings.TrimSpace(cells[0]), "`") {
			continue
		}
		keys++
		_, told, ok := strings.Cut(cells[3], "efault ")
		if !ok || strings.Contains(cells[0], "[]") {
			continue
		}
		told, _, _ = strings.Cut(strings.TrimPrefix(told, "is "), " ")
		told = strings.Trim(told, ".,;")
		value := strings.Trim(cells[2], "`")
		wantDuration, err1 := time.ParseDuration(told)
		isDuration, err2 := time.ParseDuration(value)
		switch {
		case err1 == nil && err2 == nil && wantDuration != isDuration, strings.Contains(told, ":") && told != value:
			t.Errorf("%s: the description says default %s; it is %s", strings.TrimSpace(cells[0]), told, value)
		}
	}
	if keys < 150 {
		t.Errorf("only %d keys are documented", keys)
	}
}
