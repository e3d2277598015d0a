package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/schemas/jsonscan"
)

// tree builds what encoding/json would, through the scanner's public methods.
func tree(s *jsonscan.Scanner) any {
	switch s.Kind() {
	case jsonscan.Object:
		s.Object()
		out := map[string]any{}
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			name := string(bytes.ToValidUTF8(key, []byte("\uFFFD")))
			out[name] = tree(s)
		}
		return out
	case jsonscan.Array:
		s.Array()
		out := []any{}
		for s.Elem() {
			out = append(out, tree(s))
		}
		return out
	case jsonscan.String:
		raw, escaped, _ := s.Text()
		if escaped {
			text := jsonscan.Unescape(nil, raw)
			if jsonscan.UnescapedLen(raw) != len(text) {
				panic("length of unescaped text is wrong")
			}
			raw = text
		}
		return string(raw)
	case jsonscan.Number:
		raw, ok := s.Num()
		if !ok {
			return nil
		}
		return json.Number(raw)
	case jsonscan.True, jsonscan.False:
		v, _ := s.Bool()
		return v
	default:
		s.Skip()
		return nil
	}
}

func TestScannerReadsWhatEncodingJSONReads(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `0`, `-1.5e+3`, `"a"`, `true`, `null`, ` { "a" : [ 1 , {"b":null} , "x\"y" ] , "c\u0064" : false } `,
		`{"long key that has more bytes than the fast path looks at":1}`, "\"\\\\\"", `["\\","\\\"","\ud83d\ude00","\ud83d"]`, `{"":{"":[]}}`,
		`[[[[]]],[{}]]`, "[1\n,\t2\r]", `{"text":"` + strings.Repeat("x", 100) + `\n"}`,
	} {
		s := jsonscan.New([]byte(text))
		got := tree(&s)
		if s.State() != jsonscan.OK {
			t.Errorf("%s: state %d", text, s.State())
		}
		if diff := cmp.Diff(decode(t, []byte(text)), got); diff != "" {
			t.Errorf("%s: tree differs (-want +got):\n%s", text, diff)
		}
	}
}

func decode(t testing.TB, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestScannerTellsTruncatedFromMalformed(t *testing.T) {
	for text, want := range map[string]jsonscan.State{
		`{"a":1`:    jsonscan.Truncated,
		`{"a":12`:   jsonscan.Truncated,
		`{"a":"x`:   jsonscan.Truncated,
		`{"a":"\`:   jsonscan.Truncated,
		`{"a"`:      jsonscan.Truncated,
		`{"a`:       jsonscan.Truncated,
		`{"a":tr`:   jsonscan.Truncated,
		`{"a":[1,`:  jsonscan.Truncated,
		`{`:         jsonscan.Truncated,
		`{"a" 1}`:   jsonscan.Malformed,
		`{a:1}`:     jsonscan.Malformed,
		`{"a":}`:    jsonscan.Malformed,
		`{"a":1,]`:  jsonscan.Malformed,
		`{"a":1,,`:  jsonscan.Malformed,
		`{"a":trx}`: jsonscan.Malformed,
		`[1 } `:     jsonscan.Malformed,
		`{"a":<b>}`: jsonscan.Malformed,
	} {
		s := jsonscan.New([]byte(text))
		tree(&s)
		if s.State() != want {
			t.Errorf("%s: state %d, want %d", text, s.State(), want)
		}
	}
}

func TestSkipStopsBehindTheValue(t *testing.T) {
	for _, value := range []string{`{"a":"}\"]"}`, `[1,[2,"]"],{}]`, `"x\\"`, `-1e5`, `true`, `false`, `null`} {
		s := jsonscan.New([]byte(`[` + value + `,7]`))
		s.Array()
		s.Elem()
		if got := s.Skip(); string(got) != value {
			t.Errorf("skipped %q, want %q", got, value)
		}
		s.Elem()
		if raw, ok := s.Num(); !ok || string(raw) != "7" {
			t.Errorf("after %s: got %q", value, raw)
		}
	}
}

func TestByteOrderMarkIsSkipped(t *testing.T) {
	s := jsonscan.New([]byte("\xEF\xBB\xBF{}"))
	if !s.Object() {
		t.Error("no object after a byte order mark")
	}
}

func FuzzScanner(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e3,"x\u00e9\ud83d\ude00"],"b":{"c":null}}`, `{"a":"\\\"`, `[}`, `{"k":tru`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		skip := jsonscan.New(data)
		skip.Skip()
		walk := jsonscan.New(data)
		got := shallow(&walk, 0)
		if !json.Valid(data) {
			return
		}
		if skip.State() != jsonscan.OK || walk.State() != jsonscan.OK {
			t.Fatalf("valid text was refused: %q", data)
		}
		if !got {
			return // deeper than the test recurses
		}
		s := jsonscan.New(data)
		if diff := cmp.Diff(decode(t, data), normalise(tree(&s))); diff != "" {
			t.Fatalf("tree differs (-want +got):\n%s", diff)
		}
	})
}

// shallow walks everything and reports whether the text is not nested too deep for comparing.
func shallow(s *jsonscan.Scanner, depth int) bool {
	if depth > 200 {
		s.Skip()
		return false
	}
	ok := true
	switch {
	case s.Object():
		for _, more := s.Key(); more; _, more = s.Key() {
			ok = shallow(s, depth+1) && ok
		}
	case s.Array():
		for s.Elem() {
			ok = shallow(s, depth+1) && ok
		}
	default:
		s.Skip()
	}
	return ok
}

// normalise replaces what is no UTF-8 as encoding/json does, one mark for each byte.
func normalise(v any) any {
	switch v := v.(type) {
	case string:
		return eachByte(v)
	case []any:
		for i := range v {
			v[i] = normalise(v[i])
		}
	case map[string]any:
		for k, e := range v {
			v[k] = normalise(e)
		}
	}
	return v
}

func eachByte(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

func BenchmarkSkipText(b *testing.B) {
	text := []byte(`{"content":"` + strings.Repeat("The invoice is due. ", 200) + `"}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s := jsonscan.New(text)
		s.Skip()
	}
}

func BenchmarkSkipNumbers(b *testing.B) {
	text := []byte(`[` + strings.Repeat("-0.0093272923,", 300) + `0]`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s := jsonscan.New(text)
		s.Skip()
	}
}

func FuzzValid(f *testing.F) {
	for _, seed := range []string{"plain", "ctrl\x01", "12345678\"", "1234567\\", "\\u00e9 \\", "é", "12345678é\xff", "-0.5e+7", "01", "1."} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		quoted := append(append([]byte{'"'}, raw...), '"')
		if want := json.Valid(quoted) && utf8.Valid(raw); jsonscan.ValidText(raw) != want {
			t.Errorf("ValidText(%q) is not %v", raw, want)
		}
		number := len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') && raw[len(raw)-1] > ' '
		if want := number && json.Valid(raw); jsonscan.ValidNumber(raw) != want {
			t.Errorf("ValidNumber(%q) is not %v", raw, want)
		}
	})
}
