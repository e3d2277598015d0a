package strictyaml_test

import (
	"strings"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/schemas/internal/strictyaml"
)

func TestScalarsKeepTheirText(t *testing.T) {
	var faults strictyaml.Faults
	root, err := strictyaml.Parse([]byte("a: 0.10\nb: \"0.10\"\nc: 1e-7\nd: 007\ne: true\nf: ~\ng: 2026-01-02\nh: |\n  text\n"), &faults)
	if err != nil {
		t.Fatal(err)
	}
	m := root.Map("a", "b", "c", "d", "e", "f", "g", "h")
	for key, want := range map[string]string{"a": "0.10", "b": "0.10", "c": "1e-7", "d": "007", "e": "true", "f": "", "g": "2026-01-02", "h": "text"} {
		if got := m.Get(key).Text(); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	if d, ok := m.Get("c").Decimal(); !ok || d.String() != "0.0000001" {
		t.Errorf("decimal %s", d)
	}
	if !m.Get("e").Bool() || m.Get("f").Present() {
		t.Error("a boolean or a null was misread")
	}
	if err := faults.Err(); err != nil {
		t.Error(err)
	}
}

func TestParseDecimalRefusesWhatIsNoPrice(t *testing.T) {
	for _, text := range []string{"", "1,5", "0x10", "1_000", "NaN", "Infinity", "1e100", "1e-999999999", " 1", strings.Repeat("1", 41), "--1", "."} {
		if d, ok := strictyaml.ParseDecimal(text); ok {
			t.Errorf("%q = %s", text, d)
		}
	}
}

func TestDeepOrOverlongFilesAreRefusedAtOnce(t *testing.T) {
	for name, text := range map[string]string{
		"brackets": strings.Repeat("[", 200_000), "lines of brackets": strings.Repeat("[\n", 200_000), "braces": strings.Repeat("{a: ", 200_000),
		"dashes": strings.Repeat("- ", 4000) + "a", "line": strings.Repeat("a", strictyaml.MaxLine+1), "file": strings.Repeat("# a\n", strictyaml.MaxBytes/4+1),
	} {
		begin := time.Now()
		if _, err := strictyaml.Parse([]byte(text), &strictyaml.Faults{}); err == nil || len(err.Error()) > 200 {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
}
