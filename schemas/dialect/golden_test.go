package dialect_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/modeltrail/modeltrail/schemas/content"
	"github.com/modeltrail/modeltrail/schemas/dialect"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/outline"
)

var update = flag.Bool("update", false, "write the golden files anew")

// load reads a case: a request line, headers of the exchange, then the bodies. Bodies end before the next section.
func load(t testing.TB, file string) dialect.Input {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, bodies, _ := strings.Cut(string(raw), "-- request --\n")
	if bodies == "" {
		head, bodies, _ = strings.Cut(string(raw), "-- response --\n")
		bodies = "-- response --\n" + bodies
	}
	request, response, hasResponse := strings.Cut(bodies, "-- response --\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	in := dialect.Input{HasResponse: hasResponse, RequestBody: []byte(request), ResponseBody: []byte(response)}
	in.Method, in.Path, _ = strings.Cut(lines[0], " ")
	for _, line := range lines[1:] {
		key, value, _ := strings.Cut(line, ": ")
		header(t, &in, key, value)
	}
	return in
}

func header(t testing.TB, in *dialect.Input, key, value string) {
	t.Helper()
	switch key {
	case "status":
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		in.Status = int32(n)
	case "outcome":
		in.Outcome = event.StreamOutcome(event.StreamOutcome_value["STREAM_OUTCOME_"+value])
	case "content-type":
		in.ResponseContentType = value
	case "provider":
		in.Provider = value
	case "header":
		name, v, _ := strings.Cut(value, ": ")
		in.ResponseHeaders = append(in.ResponseHeaders, &event.Attribute{Key: name, Value: v})
	case "truncated":
		in.RequestTruncated = value == "request"
		in.ResponseTruncated = value == "response"
	case "encoding":
		wire := encode(t, value, in.ResponseBody)
		plain, err := content.Decode(value, wire, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(plain, in.ResponseBody) {
			t.Fatal("decoded content differs from what was encoded")
		}
		in.ResponseBody = plain
	default:
		t.Fatalf("unknown header %q", key)
	}
}

func encode(t testing.TB, codings string, body []byte) []byte {
	t.Helper()
	for _, coding := range strings.Split(codings, ", ") {
		var b bytes.Buffer
		var err error
		switch coding {
		case "gzip":
			w := gzip.NewWriter(&b)
			_, err = w.Write(body)
			_ = w.Close()
		case "br":
			w := brotli.NewWriter(&b)
			_, err = w.Write(body)
			_ = w.Close()
		default:
			t.Fatalf("unknown coding %q", coding)
		}
		if err != nil {
			t.Fatal(err)
		}
		body = b.Bytes()
	}
	return body
}

func cases(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*/*.case")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	return files
}

// render gives the result of a decode as JSON.
func render(t testing.TB, in *dialect.Input) string {
	t.Helper()
	var call event.Call
	var usage event.Usage
	found := dialect.Decode(in, &call, &usage)
	var out bytes.Buffer
	for _, m := range []proto.Message{&call, &usage} {
		raw, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Indent(&out, raw, "", "  "); err != nil {
			t.Fatal(err)
		}
		out.WriteByte('\n')
	}
	fmt.Fprintf(&out, "first content frame %d\n", found.FirstContentFrame)
	return out.String()
}

func TestDecodeMatchesGoldenFiles(t *testing.T) {
	for _, file := range cases(t) {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".case"), func(t *testing.T) {
			in := load(t, file)
			got := render(t, &in)
			golden := strings.TrimSuffix(file, ".case") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("result differs from %s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

func TestDecodeOfOutlineEqualsDecodeOfBody(t *testing.T) {
	for _, file := range cases(t) {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".case"), func(t *testing.T) {
			in := load(t, file)
			want := render(t, &in)
			body := in.ResponseBody
			in.RequestBody = outline.Append(nil, "application/json", in.RequestBody)
			in.ResponseBody = outline.Append(nil, in.ResponseContentType, body)
			if diff := cmp.Diff(want, render(t, &in)); diff != "" {
				t.Errorf("result of the outline differs (-body +outline):\n%s\noutline:\n%s", diff, in.ResponseBody)
			}
		})
	}
}

func TestDecodeOfEveryPrefixOfOutlineEqualsDecodeOfPrefix(t *testing.T) {
	for _, file := range cases(t) {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".case"), func(t *testing.T) {
			full := load(t, file)
			step := 1 + len(full.ResponseBody)/150
			for n := 1; n < len(full.ResponseBody); n += step {
				in := full
				in.ResponseBody = full.ResponseBody[:n]
				want := render(t, &in)
				in.ResponseBody = outline.Append(nil, in.ResponseContentType, in.ResponseBody)
				if diff := cmp.Diff(want, render(t, &in)); diff != "" {
					t.Fatalf("result of the outline of %d bytes differs (-body +outline):\n%s\nbody:\n%s\noutline:\n%s", n, diff, full.ResponseBody[:n], in.ResponseBody)
				}
			}
		})
	}
}
