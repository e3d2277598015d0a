package redact

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestView_PiecesSayWhatTheyStandFor decodes texts twice, cuts any part out of the result and decodes the bytes it is
// said to stand for: they must say the same.
func TestView_PiecesSayWhatTheyStandFor(t *testing.T) {
	r := newTest(t)
	w := newWriter(t, r, 5)
	for range 600 {
		_, body := w.body()
		text := []byte(body)
		var first, second view
		first.decode(text, 0, backslashes)
		second.parent = &first
		second.decode(first.buf, 0, backslashes)
		for _, v := range []*view{&first, &second} {
			if plain := plainDecode(text); v == &first && !bytes.Equal(v.buf, plain) {
				t.Fatalf("%q\n got %q\nwant %q", text, v.buf, plain)
			}
			for range 20 {
				s := w.r.IntN(len(v.buf) + 1)
				e := s + w.r.IntN(len(v.buf)+1-s)
				var raw []byte
				for _, p := range v.pieces(s, e, nil) {
					raw = append(raw, text[p.s:p.e]...)
				}
				if v == &second {
					raw = plainDecode(raw)
				}
				if got := plainDecode(raw); utf8.Valid(v.buf[s:e]) && !bytes.Contains(got, v.buf[s:e]) {
					t.Fatalf("[%d,%d) of %q is %q, its pieces say %q", s, e, v.buf, v.buf[s:e], got)
				}
			}
		}
	}
}

// plainDecode resolves escapes byte by byte.
func plainDecode(text []byte) (out []byte) {
	for i := 0; i < len(text); {
		r, n := unescape(text[i:])
		if text[i] != '\\' || n == 0 {
			if r, n = utf8.DecodeRune(text[i:]); r == utf8.RuneError || fold(r) == r {
				out = append(out, text[i:i+n]...)
				i += n
				continue
			}
		}
		if f := fold(r); f != 0 {
			out = utf8.AppendRune(out, f)
		}
		i += n
	}
	return out
}

// TestStream_KnownShapes_TellTheSame reads streams with and without the memory of shapes.
func TestStream_KnownShapes_TellTheSame(t *testing.T) {
	r := newTest(t)
	w := newWriter(t, r, 6)
	for range 300 {
		var b strings.Builder
		for range 1 + w.r.IntN(4) {
			text := w.text()
			b.WriteString(sse(w.one(shapes[:6]...), text, 1+w.r.IntN(30)))
			b.WriteString(w.one("", "data: {\"a\":[1,{\"index\":2,\"text\":\"x\"}],\"n\":-1.5e3,\"s\":\"\"}\n\n", "data: {\"a\":[7,{\"index\":1,\"text\":\"y\"}],\"n\":12,\"s\":\"z\"}\n\n",
				"data: {\"obfuscation\":\"abc\",\"delta\":\"q\"}\n\n", "data: {\"obfuscation\":\"\",\"delta\":\"\\\"r\"}\n\n", "data: {\"delta\": \"cut\n\n", "data: [{\"text\":\"a\"},{\"text\":\"b\"}]\n\n", "data: plain\n\n"))
		}
		body := []byte(b.String())
		var with, without stream
		with.reset(1 << 20)
		without.reset(1 << 20)
		with.collect(kindSSE, body)
		for from := 0; from < len(body); {
			end := lineEnd(body, from)
			clear(without.shapes[:])
			without.collectLine(kindSSE, body, from, end)
			from = nextLine(body, end)
		}
		if with.used != without.used {
			t.Fatalf("%d texts, %d without shapes, of %q", with.used, without.used, body)
		}
		for i := range with.used {
			a, b := &with.joined[i], &without.joined[i]
			if a.frames != b.frames || !bytes.Equal(a.view.buf, b.view.buf) || !slices.Equal(a.view.segs, b.view.segs) {
				t.Fatalf("%q\nwithout shapes %q\nof %q", a.view.buf, b.view.buf, body)
			}
		}
	}
}

// TestSkipping_MissesNothing compares what looks at eight bytes at a time with what looks at one.
func TestSkipping_MissesNothing(t *testing.T) {
	r := newTest(t)
	w := newWriter(t, r, 7)
	sc := newScanner(r)
	for range 600 {
		text := []byte(w.text() + w.one("", "", "\nphone ", " Tel.\v", "\\ncall ", ". Fax: ") + w.text())
		sc.text, sc.probe = text, w.r.IntN(2) == 0
		from := w.r.IntN(len(text) + 1)
		end := len(text)
		for i := from; i < len(text); i++ {
			if text[i] == '"' || text[i] == '\n' {
				end = i
				break
			}
			if text[i] == '\\' {
				i++
			}
		}
		if got := stringEnd(text, from, len(text)); got != end {
			t.Fatalf("string from %d of %q ends at %d, not %d", from, text, got, end)
		}
		end = from
		for end < len(text) && is(text[end], classToken) {
			end++
		}
		if got := span(text, from, len(text), classToken); got != end {
			t.Fatalf("token from %d of %q ends at %d, not %d", from, text, got, end)
		}
		iban := from < longestPrefix
		for i := max(0, from-longestPrefix); i < from-1 && i+3 < len(text); i++ {
			iban = iban || is(text[i], classUpper) && is(text[i+1], classUpper) && is(text[i+2], classDigit) && is(text[i+3], classDigit)
		}
		if ibanBefore(text, from) != iban {
			t.Fatalf("iban before %d of %q: %v", from, text, !iban)
		}
		for i := range text {
			if got, want := sc.announced(i, &phoneWords), sc.announcedLetterByLetter(i, &phoneWords); got != want {
				t.Fatalf("phone word before %d of %q: %v", i, text, got)
			}
		}
		until := from + w.r.IntN(len(text)-from+1)
		got, want := count(text, from, until), plainCount(text[from:until])
		if got.american = false; got != want {
			t.Fatalf("%q\n got %+v\nwant %+v", text[from:until], got, want)
		}
	}
}

// TestInspect_AgreesWithOneCharacterAtATime reads texts whole, cut anywhere, and with bytes changed.
func TestInspect_AgreesWithOneCharacterAtATime(t *testing.T) {
	w := newWriter(t, newTest(t), 8)
	for range 2000 {
		body := []byte(w.text() + w.one("", "日本語", "Zażółć — “q”", "a\u200bb", "😀 ok", "x\uff11"))
		body = body[:1+w.r.IntN(len(body))]
		for range w.r.IntN(3) {
			body[w.r.IntN(len(body))] = byte(w.r.IntN(256))
		}
		wantText, wantOdd := plainInspect(body)
		if text, odd := inspect(body); text != wantText || text && odd != wantOdd {
			t.Fatalf("%q: text %v, odd %v; want %v, %v", body, text, odd, wantText, wantOdd)
		}
	}
}

func plainInspect(body []byte) (text, odd bool) {
	for i := 0; i < len(body); {
		r, n := utf8.DecodeRune(body[i:])
		switch {
		case r == 0:
			return false, false
		case r == utf8.RuneError && n == 1:
			return i > 0 && !utf8.FullRune(body[i:]), odd
		}
		if f := fold(r); f != r && (f > ' ' || i > 0 && is(body[i-1], classToken) || i+n < len(body) && is(body[i+n], classToken)) {
			odd = true
		}
		i += n
	}
	return true, odd
}

func plainCount(text []byte) (c counted) {
	for i, b := range text {
		if !is(b, classDigit) {
			c.plus = c.plus || b == '+'
			continue
		}
		c.digits++
		if i == 0 || !is(text[i-1], classDigit) {
			c.groups++
			c.trunk = c.trunk || b == '0' && i+1 < len(text) && is(text[i+1], classDigit)
		}
	}
	return c
}

// TestBlock_MarksWhatOneByteAtATimeDoes compares both ways of marking a block with the classes of its bytes.
func TestBlock_MarksWhatOneByteAtATimeDoes(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for n := range 4000 {
		var text [blockSize]byte
		for i := range text {
			text[i] = byte(n + 7*i)
			if n > 256 {
				text[i] = byte(rng.IntN(256))
			}
			if n > 1000 {
				text[i] = "0012345 -+(a"[rng.IntN(12)]
			}
		}
		var want, here, plain block
		for i, c := range text {
			for mark := range marks {
				if marked(c, mark) {
					want[mark] |= 1 << i
				}
			}
		}
		here.at(&text)
		plain.read(&text)
		if here != want || plain != want {
			t.Fatalf("%q\n  at %x\nread %x\nwant %x", text, here, plain, want)
		}
		s := rng.IntN(blockSize)
		size := 1 + rng.IntN(blockSize-s)
		if got, want := here.count(s, size), count(text[:], s, s+size); got != want {
			t.Fatalf("%q from %d to %d\n got %+v\nwant %+v", text, s, s+size, got, want)
		}
	}
}
