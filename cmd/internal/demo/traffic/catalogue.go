package traffic

// Credential is a demo key and who holds it. The secret is invented; it opens nothing.
type Credential struct {
	ID     string // in the directory
	App    string
	Team   string
	Secret string
}

// format is the wire format of a call.
type format uint8

const (
	formatChat format = iota
	formatResponses
	formatMessages
	formatEmbeddings
)

// app is one program that calls models.
type app struct {
	id, team string
	model    string
	format   format
	weight   int     // share of the baseline
	stream   float64 // share of calls that are streamed
	tool     string  // tool it offers, "" = none
	cached   float64 // share of the prompt that the cache holds
	reasons  bool
	encoding string
}

// catalogue lists the apps. Models are those that the built-in price table knows.
func catalogue() []app {
	return []app{
		{id: "invoice-bot", team: "finance", model: "gpt-4.1-mini", format: formatChat, weight: 14, tool: "lookup_invoice", cached: 0.5},
		{id: "ledger-search", team: "finance", model: "text-embedding-3-small", format: formatEmbeddings, weight: 12},
		{id: "support-bot", team: "support", model: "claude-haiku-5-5", format: formatMessages, weight: 22, stream: 1, cached: 0.6, tool: "find_order"},
		{id: "helpdesk-triage", team: "support", model: "gpt-5-mini", format: formatResponses, weight: 12, reasons: true},
		{id: "paper-digest", team: "research", model: "claude-sonnet-4-6", format: formatMessages, weight: 8, stream: 0.5, cached: 0.3},
		{id: "agent-lab", team: "research", model: "gpt-5-mini", format: formatResponses, weight: 8, stream: 0.5, tool: "run_query", reasons: true},
		{id: "code-assist", team: "platform", model: "gpt-4.1", format: formatChat, weight: 14, stream: 1, tool: "read_file", cached: 0.7, encoding: "gzip"},
		{id: "ci-reviewer", team: "platform", model: "gpt-4o-mini", format: formatChat, weight: 6, encoding: "br"},
		{id: "copy-desk", team: "marketing", model: "claude-sonnet-4-6", format: formatMessages, weight: 4, stream: 1},
	}
}

// Parts of the scenario.
const (
	scopeApp   = "support-bot"
	scopeModel = "claude-opus-4-6" // the policy of team support does not allow it
	spikeApp   = "agent-lab"
	spikeModel = "gpt-5.5-pro"
	// unknownSecret is in no directory.
	unknownSecret = "demo-key-nobody-has-registered-0000"
)

// Credentials lists the demo keys, one for each app, in a fixed order.
func Credentials() []Credential {
	var list []Credential
	for _, a := range catalogue() {
		list = append(list, Credential{ID: a.id + "-key", App: a.id, Team: a.team, Secret: secretOf(a.id)})
	}
	return list
}

func secretOf(app string) string { return "demo-key-not-a-secret-" + app }

// Use is one app's use of a model.
type Use struct {
	App, Team       string
	Provider, Model string // OpenTelemetry gen_ai.provider.name and the model asked for
	OutOfScope      bool
}

// Models lists every model that the traffic asks for, with the app that does.
func Models() []Use {
	use := func(a app, model string) Use {
		u := Use{App: a.id, Team: a.team, Provider: "openai", Model: model}
		if a.format == formatMessages {
			u.Provider = "anthropic"
		}
		return u
	}
	var list []Use
	for _, a := range catalogue() {
		list = append(list, use(a, a.model))
		switch a.id {
		case scopeApp:
			u := use(a, scopeModel)
			u.OutOfScope = true
			list = append(list, u)
		case spikeApp:
			list = append(list, use(a, spikeModel))
		}
	}
	return list
}
