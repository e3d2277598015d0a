package sse_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/schemas/sse"
)

type frame struct {
	Number      int
	Event, Data string
	Whole       bool
}

func frames(body string) (out []frame, cut bool) {
	r := sse.NewReader([]byte(body))
	for f, ok := r.Next(); ok; f, ok = r.Next() {
		out = append(out, frame{f.Number, string(f.Event), string(f.Data), f.Whole})
	}
	return out, r.Cut()
}

func TestReaderYieldsFrames(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want []frame
		cut  bool
	}{
		"nothing":                   {"", nil, false},
		"plain":                     {"data: a\n\ndata: b\n\n", []frame{{1, "", "a", true}, {2, "", "b", true}}, false},
		"crlf":                      {"event: e\r\ndata: a\r\n\r\ndata: b\r\n\r\n", []frame{{1, "e", "a", true}, {2, "", "b", true}}, false},
		"no space after the colon":  {"data:a\n\n", []frame{{1, "", "a", true}}, false},
		"several data lines":        {"data: a\ndata: b\ndata\n\n", []frame{{1, "", "a\nb\n", true}}, false},
		"comments count":            {": keep-alive\n\ndata: a\n\n", []frame{{1, "", "", true}, {2, "", "a", true}}, false},
		"blank lines do not":        {"\n\n\ndata: a\n\n\n\n", []frame{{1, "", "a", true}}, false},
		"cut off":                   {"data: a\n\ndata: b", []frame{{1, "", "a", true}, {2, "", "b", false}}, false},
		"other fields":              {"id: 7\nretry: 10\ndatax: y\ndata: a\n\n", []frame{{1, "", "a", true}}, false},
		"renumbered by an outline":  {"data: a\n\n: frame 9\ndata: b\n\ndata: c\n\n", []frame{{1, "", "a", true}, {9, "", "b", true}, {10, "", "c", true}}, false},
		"unknown numbers after cut": {"data: a\n\n: cut\ndata: b\n\n: frame 9\ndata: c\n\n", []frame{{1, "", "a", true}, {0, "", "b", true}, {0, "", "c", true}}, true},
		"foreign comment":           {": frame x\ndata: a\n\n", []frame{{1, "", "a", true}}, false},
		"byte order mark":           {"\xEF\xBB\xBFdata: a\n\n", []frame{{1, "", "a", true}}, false},
	} {
		got, cut := frames(c.body)
		if diff := cmp.Diff(c.want, got); diff != "" || cut != c.cut {
			t.Errorf("%s: cut %v (-want +got):\n%s", name, cut, diff)
		}
	}
}

func TestIsBelievesTheBodyBeforeTheLabel(t *testing.T) {
	const label = "text/event-stream; charset=utf-8"
	for _, c := range []struct {
		contentType, body string
		want              bool
	}{
		{label, `{"error":{}}`, false},
		{label, "\n [1]", false},
		{"application/json", "data: {}\n\n", true},
		{"application/json", "event: ping\n", true},
		{"application/json", ": ping\n", true},
		{"", "id: 1\ndata: x", true},
		{label, "", true},
		{"Text/Event-Stream", "d", true},
		{"text/html", "<html>", false},
		{"", "", false},
	} {
		if got := sse.Is(c.contentType, []byte(c.body)); got != c.want {
			t.Errorf("Is(%q, %q) = %v", c.contentType, c.body, got)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add("event: a\ndata: b\n\n: frame 3\ndata: c")
	f.Add("data: a\r\n\r\n: cut\ndata:\n")
	f.Fuzz(func(t *testing.T, body string) {
		got, _ := frames(body)
		if len(got) > strings.Count(body, "\n")+1 {
			t.Fatalf("%d frames in %d lines", len(got), strings.Count(body, "\n")+1)
		}
	})
}
