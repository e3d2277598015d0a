package workload

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Kind is the shape of a call.
type Kind uint8

// The kinds.
const (
	Chat           Kind = iota // OpenAI chat completion
	ChatStream                 // the same, streamed
	Messages                   // Anthropic messages
	MessagesStream             // the same, streamed
	Embeddings                 // OpenAI embeddings
	Limited                    // answered with 429
	Broken                     // an OpenAI stream that breaks off before its end
	Refused                    // the provider could not be reached
)

// Poison is a record that is no envelope.
type Poison uint8

// The kinds of poison; NoPoison is an ordinary call.
const (
	NoPoison  Poison = iota
	Garbage          // bytes that are no protobuf
	Empty            // no value
	FromLater        // an envelope of a schema version that no reader knows
	Nameless         // an envelope without call id
	Cut              // the first half of an envelope
	poisons
)

// Tool is a tool that the model called.
type Tool struct {
	ID, Name  string
	Arguments string // JSON text
}

// Call is one call, or one poisoned record in its place.
type Call struct {
	Index    int
	ID       string
	Kind     Kind
	Poison   Poison
	Repeated bool // the source delivers both phases twice
	Marked   bool // asks for MarkedModel
	Caller   Caller
	Model    string
	Answered string // model that the answer names
	// Token counts as they are billed; they do not overlap.
	Uncached, CacheRead, Write5m, Write1h, Text, Reasoning int64
	Tool                                                   *Tool
	EndUser                                                string
	ResponseID                                             string
	Prompt, Reply                                          string
	Source                                                 Source

	Started, Asked, Headed, FirstByte, Ended int64 // unix nanoseconds; 0 = never
	noise                                    uint64
}

// Source is who numbered the call's two envelopes.
type Source struct {
	Instance          string
	Epoch             uint64
	Request, Response uint64 // sequence numbers
}

// Config describes a workload. Two equal configurations make equal calls.
type Config struct {
	Seed         uint64  `json:"seed"`
	Calls        int     `json:"calls"`
	PoisonShare  float64 `json:"poison_share"`  // of all calls
	RepeatShare  float64 `json:"repeat_share"`  // of all calls
	MarkedShare  float64 `json:"marked_share"`  // of all calls: those that ask for MarkedModel
	Sources      int     `json:"sources"`       // emitters that number envelopes
	ReplyBytes   int     `json:"reply_bytes"`   // about, of prompt and reply text
	ExactPoisons int     `json:"exact_poisons"` // exactly so many poisoned records, evenly spread; replaces PoisonShare
	ExactMarked  int     `json:"exact_marked"`  // exactly so many calls for MarkedModel; replaces MarkedShare
	// FingerprintKey is the hexadecimal key under which a tap fingerprints credentials; empty where no tap takes part.
	FingerprintKey string `json:"fingerprint_key,omitempty"`
	OnlyLater      bool   `json:"only_later"` // every poisoned record is FromLater: a newer reader can take it
}

// MarkedModel is asked for by calls that a test makes the store refuse.
const MarkedModel = "gpt-uninsertable"

// Begin is when the first call starts. It lies in the past on every machine, so that event times are never clamped.
var Begin = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

// stretch is the event time over which all calls are spread: several hours, so that hourly sums have several rows.
const stretch = 5 * time.Hour

// Workload makes calls. It is safe for concurrent use.
type Workload struct {
	cfg     Config
	step    int64
	callers []Caller
}

// New returns the workload of a configuration.
func New(cfg Config) *Workload {
	if cfg.Sources < 1 {
		cfg.Sources = 4
	}
	if cfg.ReplyBytes < 1 {
		cfg.ReplyBytes = 300
	}
	step := int64(stretch) / int64(max(cfg.Calls, 1)) / 1000 * 1000
	return &Workload{cfg: cfg, step: max(step, 1000), callers: callers(cfg.Seed, cfg.FingerprintKey)}
}

// Config returns what the workload was made from.
func (w *Workload) Config() Config { return w.cfg }

// Prefix starts the id of every call of this seed.
func (w *Workload) Prefix() string { return fmt.Sprintf("chaos-%016x-", w.cfg.Seed) }

// ID returns the id of call i; ids sort as indexes do.
func (w *Workload) ID(i int) string { return fmt.Sprintf("%s%09d", w.Prefix(), i) }

// IndexOf returns the index of a call id of this workload, or -1.
func (w *Workload) IndexOf(id string) int {
	digits, ok := strings.CutPrefix(id, w.Prefix())
	if !ok {
		return -1
	}
	i, err := strconv.Atoi(digits)
	if err != nil || i < 0 || i >= w.cfg.Calls || len(digits) != 9 {
		return -1
	}
	return i
}

var openAIModels = []string{"gpt-5.5", "gpt-5.5-mini", "gpt-4.1", "o4-mini", "gpt-unpriced"}
var anthropicModels = []string{"claude-sonnet-5", "claude-opus-4-1", "claude-haiku-4-5"}

// Call returns call i.
func (w *Workload) Call(i int) Call {
	rng := rand.New(rand.NewPCG(w.cfg.Seed, uint64(i)+1)) //nolint:gosec // repeatable on purpose
	c := Call{Index: i, ID: w.ID(i), noise: rng.Uint64()}
	c.Caller = w.callers[rng.IntN(len(w.callers))]
	c.Source = w.source(i)
	poisoned, marked, repeated := rng.Float64(), rng.Float64(), rng.Float64()
	if w.poisoned(i, poisoned) {
		if c.Poison = 1 + Poison(rng.IntN(int(poisons-1))); w.cfg.OnlyLater {
			c.Poison = FromLater
		}
	}
	c.Kind = kindOf(rng.IntN(100))
	c.times(rng, w.step)
	c.content(rng, w.cfg.ReplyBytes)
	if c.Marked = c.Poison == NoPoison && w.marked(i, marked); c.Marked {
		c.Kind, c.Model, c.Answered, c.Tool = Chat, MarkedModel, MarkedModel, nil
	}
	c.Repeated = !c.Marked && repeated < w.cfg.RepeatShare
	return c
}

func (w *Workload) poisoned(i int, dice float64) bool {
	if w.cfg.ExactPoisons > 0 {
		return nth(i, w.cfg.Calls, w.cfg.ExactPoisons)
	}
	return dice < w.cfg.PoisonShare
}

func (w *Workload) marked(i int, dice float64) bool {
	if w.cfg.ExactMarked > 0 {
		// Besides the poisoned places, which lie at the ends of equal stretches.
		return nth(i+w.cfg.Calls/w.cfg.ExactMarked/2+3, w.cfg.Calls, w.cfg.ExactMarked)
	}
	return dice < w.cfg.MarkedShare
}

// Marks reports whether there may be calls for MarkedModel.
func (c Config) Marks() bool { return c.ExactMarked > 0 || c.MarkedShare > 0 }

// MarkedCalls is how many calls ask for MarkedModel by ExactMarked: fewer than that where poison stands in their places.
func (w *Workload) MarkedCalls() int {
	n := 0
	for i := range w.cfg.Calls {
		if w.cfg.ExactMarked > 0 && w.marked(i, 1) && !w.Poisoned(i) {
			n++
		}
	}
	return n
}

// nth spreads n of total evenly: true for exactly n of the indexes 0 to total-1.
func nth(i, total, n int) bool {
	i %= total
	return (i+1)*n/total > i*n/total
}

// source numbers the envelopes of every emitter without a gap, in the order of the calls. Half way through, every
// emitter starts anew. A poisoned record has no number: its place in the sequence is a gap of two.
func (w *Workload) source(i int) Source {
	n, epoch, start := w.cfg.Sources, uint64(Begin.UnixNano()), 0
	if half := w.cfg.Calls / 2 / n * n; i >= half && half > 0 {
		epoch, start = epoch+uint64(time.Hour), half
	}
	k := uint64((i - start) / n) //nolint:gosec // not negative
	return Source{Instance: fmt.Sprintf("gateway-%d", i%n), Epoch: epoch + uint64(i%n), Request: 2*k + 1, Response: 2*k + 2}
}

func kindOf(dice int) Kind {
	for _, k := range []struct {
		below int
		kind  Kind
	}{{30, Chat}, {45, ChatStream}, {70, Messages}, {82, MessagesStream}, {88, Embeddings}, {92, Limited}, {96, Broken}} {
		if dice < k.below {
			return k.kind
		}
	}
	return Refused
}

func (c *Call) times(rng *rand.Rand, step int64) {
	c.Started = Begin.UnixNano() + int64(c.Index)*step
	c.Asked = c.Started + int64(1+rng.IntN(3000))*1000
	c.Headed = c.Started + int64(100+rng.IntN(400))*1_000_000
	c.FirstByte = c.Headed + 5_000_000
	c.Ended = c.FirstByte + 400_000_000
	if c.Kind == Refused {
		c.Headed, c.FirstByte = 0, 0
	}
}

func (c *Call) content(rng *rand.Rand, bytes int) {
	c.EndUser = fmt.Sprintf("u-%d", rng.IntN(500))
	c.Uncached, c.Text = int64(10+rng.IntN(2000)), int64(1+rng.IntN(600))
	switch c.Kind {
	case Messages, MessagesStream:
		c.Model = anthropicModels[rng.IntN(len(anthropicModels))]
		c.ResponseID = fmt.Sprintf("msg_%x", rng.Uint64())
		c.CacheRead, c.Write5m, c.Write1h = int64(rng.IntN(3)*500), int64(rng.IntN(2)*300), int64(rng.IntN(2)*70)
	case Embeddings:
		c.Model, c.Text = "text-embedding-3-large", 0
	default:
		c.Model = openAIModels[rng.IntN(len(openAIModels))]
		c.ResponseID = fmt.Sprintf("chatcmpl-%x", rng.Uint64())
		c.CacheRead, c.Reasoning = int64(rng.IntN(3)*64), int64(rng.IntN(2)*rng.IntN(300))
	}
	c.Answered = c.Model
	if c.Kind == Chat && rng.IntN(4) == 0 {
		c.Answered = c.Model + "-2026-02-01" // a dated snapshot of the same model
	}
	c.Prompt, c.Reply = filler(rng, bytes), filler(rng, bytes/2)
	if rng.IntN(6) == 0 && (c.Kind == Chat || c.Kind == Messages || c.Kind == MessagesStream) {
		c.Tool = &Tool{
			ID: fmt.Sprintf("call_%x", rng.Uint32()), Name: []string{"find_invoice", "send_mail"}[rng.IntN(2)],
			Arguments: fmt.Sprintf(`{"number":"%d"}`, rng.IntN(100000)),
		}
	}
	switch c.Kind {
	case Limited, Refused:
		c.Uncached, c.CacheRead, c.Write5m, c.Write1h, c.Text, c.Reasoning = 0, 0, 0, 0, 0, 0
		c.Answered, c.ResponseID = "", ""
	case Broken: // the counts would have come with the end
		c.Uncached, c.CacheRead, c.Text, c.Reasoning = 0, 0, 0, 0
	}
}

var words = strings.Fields("invoice total paid open supplier figure month quarter note client draft answer polite short table column row sum net gross tax rate date order number line")

func filler(rng *rand.Rand, length int) string {
	var s strings.Builder
	for s.Len() < length {
		s.WriteString(words[rng.IntN(len(words))])
		s.WriteByte(' ')
	}
	return s.String()
}

// Digest is the digest that the emitter gives of a body.
func (c *Call) Digest(response bool) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %t %d", c.ID, response, c.noise))
	return sum[:]
}

// Caller is one credential and whom the directory gives it to.
type Caller struct {
	Secret                   string // what the caller sends
	Fingerprint, Last4, Kind string
	ID                       string // in the directory; empty when it is unknown there
	Status                   string // active, revoked, unknown or none
	App, Team                int    // -1: unknown
}

// Teams and Apps of the directory; app a belongs to team a % Teams.
const (
	Teams = 4
	Apps  = 8
)

// callers returns the same 40 credentials for a seed: most are good, some are unknown, one is revoked, one call in
// forty carries none.
func callers(seed uint64, key string) []Caller {
	var out []Caller
	secretKey, _ := hex.DecodeString(key)
	for i := range 40 {
		sum := sha256.Sum256(fmt.Appendf(nil, "caller %d %d", seed, i))
		c := Caller{
			Fingerprint: "mt1:" + hex.EncodeToString(sum[:16]), Last4: fmt.Sprintf("%04d", i), Kind: "bearer",
			ID: fmt.Sprintf("key-%d", i), Status: "active", App: i % Apps, Team: i % Apps % Teams,
			Secret: "sk-chaos-" + hex.EncodeToString(sum[16:]) + fmt.Sprintf("%04d", i),
		}
		if len(secretKey) > 0 { // as docs/directory.md says: HMAC-SHA-256 under the tap's key, cut to 128 bits
			mac := hmac.New(sha256.New, secretKey)
			mac.Write([]byte(c.Secret))
			c.Fingerprint = "mt1:" + hex.EncodeToString(mac.Sum(nil)[:16])
		}
		switch {
		case i == 39:
			c = Caller{Kind: "none", Status: "none", App: -1, Team: -1}
		case i >= 36:
			c.ID, c.Status, c.App, c.Team = "", "unknown", -1, -1
		case i == 32:
			c.Status = "revoked"
		}
		out = append(out, c)
	}
	return out
}

// PhasePoison is the phase of a poisoned record, which has none.
const PhasePoison = 0

// Poisoned reports whether a poisoned record stands in the place of call i.
func (w *Workload) Poisoned(i int) bool {
	rng := rand.New(rand.NewPCG(w.cfg.Seed, uint64(i)+1)) //nolint:gosec // repeatable on purpose
	rng.Uint64()
	rng.IntN(len(w.callers))
	return w.poisoned(i, rng.Float64())
}
