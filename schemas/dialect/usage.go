package dialect

import (
	"math"
	"strconv"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/jsonscan"
)

// count is a number of something, or unknown, which is the zero value: it holds the number plus one.
type count int64

func known(n int64) count     { return count(n + 1) }
func (c count) known() bool   { return c > 0 }
func (c count) value() int64  { return int64(c) - 1 }
func (c count) orZero() int64 { return max(int64(c)-1, 0) }

// maxCount is the largest integer that every JSON reader keeps exactly.
const maxCount = 1 << 53

// flags are remarks on the counts of one call.
type flags uint8

const (
	flagNegative flags = 1 << iota // a count was negative or above 2^53 and was rejected
	flagInvalid                    // a count was no integer and was rejected
	flagConflict                   // cache or reasoning counts came on top of a total that should include them, or the reverse
	flagMismatch                   // the counts do not add up to the provider's total
)

var flagNames = [...]string{"negative_count", "invalid_count", "semantics_conflict", "sum_mismatch"}

func (f flags) appendTo(u *event.Usage) {
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			u.Flags = append(u.Flags, name)
		}
	}
}

// counts are the figures of a provider's usage object under our names. Each holds the last value seen.
type counts struct {
	input, output, total       count
	cached, cacheWrite         count
	cacheWrite5m, cacheWrite1h count
	cacheHit, cacheMiss        count // DeepSeek's pair
	inAudio, inImage           count
	reasoning, outAudio        count
	webSearches, images        count
	rounds                     [roundFigures]int64 // sums over iterations[]
	roundCount                 int
	roundsIncomplete           bool
	flags                      flags
	tier                       string
}

// readCount consumes a value and stores it when it is a count. Null keeps what was there.
func readCount(s *jsonscan.Scanner, dst *count, f *flags) {
	var raw []byte
	switch s.Kind() {
	case jsonscan.Number:
		raw, _ = s.Num()
	case jsonscan.String:
		raw, _, _ = s.Text()
	case jsonscan.Null:
		s.Skip()
		return
	default:
		if s.Skip() != nil {
			*f |= flagInvalid
		}
		return
	}
	if s.State() != jsonscan.OK {
		return
	}
	n, ok := integer(raw, f)
	if ok {
		*dst = known(n)
	}
}

func integer(raw []byte, f *flags) (int64, bool) {
	var n int64
	for i, c := range raw {
		if c < '0' || c > '9' || i == 15 {
			return floating(raw, f)
		}
		n = n*10 + int64(c-'0')
	}
	if len(raw) == 0 {
		*f |= flagInvalid
		return 0, false
	}
	return n, true
}

func floating(raw []byte, f *flags) (int64, bool) {
	v, err := strconv.ParseFloat(view(raw), 64)
	switch {
	case err != nil && !math.IsInf(v, 0) || math.IsNaN(v):
		*f |= flagInvalid
		return 0, false
	case v < 0 || v > maxCount:
		*f |= flagNegative
		return 0, false
	case v != math.Trunc(v):
		*f |= flagInvalid
		return 0, false
	}
	return int64(v), true
}

// read consumes a usage object of any format. Values replace earlier ones; absent and null ones do not.
func (c *counts) read(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "prompt_tokens", "input_tokens":
			readCount(s, &c.input, &c.flags)
		case "completion_tokens", "output_tokens":
			readCount(s, &c.output, &c.flags)
		case "total_tokens":
			readCount(s, &c.total, &c.flags)
		case "prompt_tokens_details", "input_tokens_details":
			c.inDetails(s)
		case "completion_tokens_details", "output_tokens_details":
			c.outDetails(s)
		case "cached_tokens", "cache_read_input_tokens":
			readCount(s, &c.cached, &c.flags)
		case "cache_creation_input_tokens":
			readCount(s, &c.cacheWrite, &c.flags)
		case "cache_creation":
			c.creation(s)
		case "prompt_cache_hit_tokens":
			readCount(s, &c.cacheHit, &c.flags)
		case "prompt_cache_miss_tokens":
			readCount(s, &c.cacheMiss, &c.flags)
		case "server_tool_use":
			c.serverTools(s)
		case "service_tier":
			word(s, &c.tier)
		case "iterations":
			c.iterations(s)
		default:
			s.Skip()
		}
	}
}

func (c *counts) inDetails(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "cached_tokens":
			readCount(s, &c.cached, &c.flags)
		case "cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens":
			readCount(s, &c.cacheWrite, &c.flags)
		case "audio_tokens":
			readCount(s, &c.inAudio, &c.flags)
		case "image_tokens":
			readCount(s, &c.inImage, &c.flags)
		default:
			s.Skip()
		}
	}
}

func (c *counts) outDetails(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "reasoning_tokens", "thinking_tokens":
			readCount(s, &c.reasoning, &c.flags)
		case "audio_tokens":
			readCount(s, &c.outAudio, &c.flags)
		default:
			s.Skip()
		}
	}
}

func (c *counts) creation(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "ephemeral_5m_input_tokens":
			readCount(s, &c.cacheWrite5m, &c.flags)
		case "ephemeral_1h_input_tokens":
			readCount(s, &c.cacheWrite1h, &c.flags)
		default:
			s.Skip()
		}
	}
}

func (c *counts) serverTools(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if string(key) == "web_search_requests" {
			readCount(s, &c.webSearches, &c.flags)
		} else {
			s.Skip()
		}
	}
}

// Figures of one iteration, in the order of counts.rounds.
const (
	roundInput = iota
	roundOutput
	roundCached
	roundWrite
	round5m
	round1h
	roundFigures
)

// iterations consumes the list that Anthropic adds when one call ran the model several times (context compaction). The
// top-level counts then tell only part; the sum over the list tells all.
func (c *counts) iterations(s *jsonscan.Scanner) {
	if !s.Array() {
		s.Skip()
		return
	}
	c.rounds, c.roundCount, c.roundsIncomplete = [roundFigures]int64{}, 0, false
	for s.Elem() {
		var one counts
		if s.Kind() != jsonscan.Object {
			s.Skip()
			continue
		}
		one.round(s)
		c.flags |= one.flags
		c.roundCount++
		if !one.input.known() || !one.output.known() {
			c.roundsIncomplete = true
		}
		for i, n := range [roundFigures]count{one.input, one.output, one.cached, one.cacheWrite, one.cacheWrite5m, one.cacheWrite1h} {
			c.rounds[i] += n.orZero()
		}
	}
}

// round consumes one entry of iterations[]. Entries do not nest, so neither does this.
func (c *counts) round(s *jsonscan.Scanner) {
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "input_tokens":
			readCount(s, &c.input, &c.flags)
		case "output_tokens":
			readCount(s, &c.output, &c.flags)
		case "cache_read_input_tokens":
			readCount(s, &c.cached, &c.flags)
		case "cache_creation_input_tokens":
			readCount(s, &c.cacheWrite, &c.flags)
		case "cache_creation":
			c.creation(s)
		default:
			s.Skip()
		}
	}
}
