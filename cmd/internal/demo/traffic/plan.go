package traffic

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/demo/provider"
)

// Kinds of planned calls, as they are counted in Stats.
const (
	KindBaseline   = "baseline"
	KindOutOfScope = "out_of_scope"
	KindUnknown    = "unknown_credential"
	KindSpike      = "cost_spike"
)

// planned is one call before it happens.
type planned struct {
	at        time.Duration // since the start
	number    int
	kind      string
	app       app
	secret    string
	stream    bool
	tool      bool
	abort     int // pieces after which the caller leaves, 0 = stays
	personal  int // which invented personal data the prompt holds, 0 = none
	prompt    int // tokens
	script    provider.Script
	requestID string
}

// planner makes the calls of a run one by one, in order of time. It depends on the configuration only.
type planner struct {
	cfg      Config
	rng      *rand.Rand
	sampler  *sampler
	apps     []app
	weights  int
	arrival  time.Duration // of the next baseline call
	scenario []planned     // still to come, in order of time
	round    int
	number   int
}

func newPlanner(cfg Config) *planner {
	rng := rand.New(rand.NewPCG(cfg.Seed, 0x6d6f64656c)) // reproducible, not secret
	p := &planner{cfg: cfg, rng: rng, sampler: newSampler(rng, cfg.Rate), apps: catalogue()}
	for _, a := range p.apps {
		p.weights += a.weight
	}
	p.arrival = p.sampler.gap()
	p.stage()
	return p
}

// next returns the next call.
func (p *planner) next() planned {
	if len(p.scenario) == 0 && p.cfg.Repeat > 0 {
		p.round++
		p.stage()
	}
	var c planned
	if len(p.scenario) > 0 && p.scenario[0].at <= p.arrival {
		c, p.scenario = p.scenario[0], p.scenario[1:]
	} else {
		c = p.baseline()
		p.arrival += p.sampler.gap()
	}
	p.number++
	c.number = p.number
	c.requestID = fmt.Sprintf("demo-%d-%d", p.cfg.Seed, p.number)
	return c
}

// stage plans one round of the scenario.
func (p *planner) stage() {
	base := time.Duration(p.round) * p.cfg.Repeat
	add := func(after time.Duration, c planned) {
		c.at = base + after
		i := len(p.scenario)
		for i > 0 && p.scenario[i-1].at > c.at {
			i--
		}
		p.scenario = append(p.scenario[:i], append([]planned{c}, p.scenario[i:]...)...)
	}
	if after := p.cfg.OutOfScopeAfter; after >= 0 {
		a := p.app(scopeApp)
		a.model = scopeModel
		add(after, p.call(a, KindOutOfScope, secretOf(a.id), 1200, 300))
	}
	if after := p.cfg.UnknownAfter; after >= 0 {
		add(after, p.call(p.app("ci-reviewer"), KindUnknown, unknownSecret, 600, 120))
	}
	if p.cfg.SpikeAfter < 0 {
		return
	}
	// A runaway agent: each turn sends all earlier turns again and calls a tool once more.
	step := time.Duration(float64(time.Second) / p.cfg.SpikeRate)
	for k, after := 0, time.Duration(0); after < p.cfg.SpikeFor; k, after = k+1, after+step {
		a := p.app(spikeApp)
		a.model = spikeModel
		c := p.call(a, KindSpike, secretOf(a.id), 8000+600*k, 900)
		c.tool, c.stream, c.abort, c.personal = true, false, 0, 0
		c.script.Tool = a.tool
		add(p.cfg.SpikeAfter+after, c)
	}
}

func (p *planner) app(id string) app {
	for _, a := range p.apps {
		if a.id == id {
			return a
		}
	}
	return p.apps[0]
}

// baseline makes an ordinary call.
func (p *planner) baseline() planned {
	n := p.rng.IntN(p.weights)
	i := 0
	for n -= p.apps[0].weight; n >= 0; n -= p.apps[i].weight {
		i++
	}
	context, generated := p.sampler.tokens()
	c := p.call(p.apps[i], KindBaseline, secretOf(p.apps[i].id), context, generated)
	c.at = p.arrival
	p.mishap(&c)
	return c
}

// call makes a call that goes well.
func (p *planner) call(a app, kind, secret string, context, generated int) planned {
	c := planned{kind: kind, app: a, secret: secret, prompt: context}
	c.stream = p.rng.Float64() < a.stream
	c.tool = a.tool != "" && p.rng.Float64() < 0.3
	if p.rng.Float64() < p.cfg.PersonalDataShare {
		c.personal = 1 + p.rng.IntN(3)
	}
	s := &c.script
	s.PromptTokens, s.CompletionTokens, s.RetryAfter = context, generated, 1
	s.Frames = min(max(generated/8, 2), 48)
	s.Frame = p.cfg.FrameDelay
	s.First = time.Duration(p.rng.IntN(4)+1) * p.cfg.FrameDelay
	if !c.stream {
		s.Frame = time.Duration(s.Frames) * p.cfg.FrameDelay
	}
	if context >= 1024 {
		s.Cached = int(a.cached*float64(context)) / 128 * 128
	}
	if a.format == formatMessages && s.Cached > 0 && p.rng.Float64() < 0.1 {
		s.Cached, s.CacheWrite = 0, s.Cached // the first call with this prefix
	}
	if a.reasons {
		s.Reasoning = generated / 3
	}
	if c.tool {
		s.Tool = a.tool
	}
	if p.rng.Float64() < 0.5 {
		s.Encoding = a.encoding
	}
	if a.format == formatEmbeddings {
		c.stream = false
		s.CompletionTokens, s.Frame = 0, p.cfg.FrameDelay
	}
	return c
}

// mishap lets some calls fail at the provider and some callers leave.
func (p *planner) mishap(c *planned) {
	u := p.rng.Float64()
	leave := p.rng.Float64()
	switch share := p.cfg.ErrorShare; {
	case u >= share:
		if c.stream && leave < p.cfg.AbortShare {
			c.script.Encoding = "" // the caller counts pieces, which a compressed answer hides
			c.abort = 1 + int(math.Floor(leave/max(p.cfg.AbortShare, 1e-9)*float64(c.script.Frames)/2))
		}
	case u < share*0.5:
		c.script.Status = 429
	case u < share*0.7 || !c.stream:
		c.script.Status = 500
	case u < share*0.85:
		c.script.CutAfter = 1 + c.script.Frames/3
	default:
		c.script.ErrorAfter = 1 + c.script.Frames/3
	}
}
