package redact

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"
	"github.com/zricethezav/gitleaks/v8/config"
)

// rule is one pattern. Its expression is compiled when one of its keywords first stands in a plausible place.
type rule struct {
	name     string
	source   string
	group    int     // capture group of the secret; 0 = the first that matched, or the whole match
	entropy  float64 // Shannon entropy per byte that the secret must exceed
	stop     []string
	allow    []string // expressions that excuse the secret
	starts   []literal
	lead     lead     // how a match begins, where starts is set
	boundary bool     // begins with \b
	context  bool     // keyword, assignment sign, value
	inside   []string // keywords of a context rule that stand in the value
	wide     bool     // may match beyond the token that holds the keyword
	minLen   int      // shortest secret
	maxLen   int      // longest match, 0 = unbounded
	check    func(secret []byte) bool

	once    sync.Once
	re      *regexp.Regexp
	allowRe *regexp.Regexp
}

// ruleSet is everything that depends on the configuration only.
type ruleSet struct {
	rules []*rule
	words []string   // keyword id -> keyword
	byKey [][]uint16 // keyword id -> rule ids
	gate  *gate
}

// rulesFile is the part of the gitleaks rule format (its config.toml, version 8) that applies to text.
type rulesFile struct {
	Allowlist struct {
		Regexes   []string `toml:"regexes"`
		StopWords []string `toml:"stopwords"`
	} `toml:"allowlist"`
	Rules []rulesEntry `toml:"rules"`
}

// rulesEntry is one rule of the file.
type rulesEntry struct {
	ID          string   `toml:"id"`
	Regex       string   `toml:"regex"`
	Path        string   `toml:"path"`
	Keywords    []string `toml:"keywords"`
	Entropy     float64  `toml:"entropy"`
	SecretGroup int      `toml:"secretGroup"`
	Allowlists  []struct {
		Regexes     []string `toml:"regexes"`
		RegexTarget string   `toml:"regexTarget"`
		StopWords   []string `toml:"stopwords"`
	} `toml:"allowlists"`
}

// rule converts an entry. Allowlists count as far as they speak of the secret itself.
func (f *rulesFile) rule(g *rulesEntry) *rule {
	r := &rule{name: g.ID, source: g.Regex, group: g.SecretGroup, entropy: g.Entropy, wide: slices.Contains(wideRules, g.ID)}
	if g.ID == ruleVault {
		r.check = func(secret []byte) bool { return !humped(secret) } // s.SomeMethodOfTwentyFourX is code
	}
	r.allow = slices.Clone(f.Allowlist.Regexes)
	r.stop = slices.Clone(f.Allowlist.StopWords)
	for _, a := range g.Allowlists {
		if a.RegexTarget == "" || a.RegexTarget == "secret" {
			r.allow = append(r.allow, a.Regexes...)
		}
		r.stop = append(r.stop, a.StopWords...)
	}
	return r
}

// The rule for Vault tokens, whose first generation is s. and vaultLetters letters and digits.
const (
	ruleVault    = "vault-service-token"
	vaultPrefix  = "s."
	vaultLetters = 24
)

// oldVaultToken says that text begins with a Vault token of the first generation and not with a name in code.
func oldVaultToken(text []byte) bool {
	size := len(vaultPrefix) + vaultLetters
	if len(text) < size {
		return false
	}
	for _, b := range text[len(vaultPrefix):size] {
		if !isAlnum(b) {
			return false
		}
	}
	return !humped(text[:size])
}

// skipped names the rules of the set that are replaced here. generic-api-key takes any "key" or "token" followed
// by any ten characters: on prose and on API bodies ("max_tokens", "token: str") it is mostly wrong, and it would
// make every second sentence a candidate; assign.go does its work with a test for randomness. The curl rules search
// over many lines and private-key needs its end; authorization.go and pem.go read those forms directly.
var skipped = []string{"generic-api-key", "curl-auth-header", "curl-auth-user", "private-key"}

// wideRules match characters that end a token, so they are tried on the surroundings.
var wideRules = []string{"facebook-access-token", "sidekiq-sensitive-url", "microsoft-teams-webhook", "sourcegraph-access-token",
	"nytimes-access-token", "jwt", "jwt-base64"}

// newRuleSet reads the gitleaks rules and ours and builds the gate over all keywords.
func newRuleSet(disabled []string) (*ruleSet, error) {
	var file rulesFile
	if err := toml.Unmarshal([]byte(config.DefaultConfig), &file); err != nil {
		return nil, fmt.Errorf("read gitleaks rules: %w", err)
	}
	set := &ruleSet{}
	keys := map[string]uint16{}
	add := func(r *rule, keywords []string) error {
		if slices.Contains(disabled, r.name) {
			return nil
		}
		if err := r.analyse(keywords); err != nil {
			return fmt.Errorf("read rule %s: %w", r.name, err)
		}
		for _, k := range keywords {
			k = strings.ToLower(k)
			id, ok := keys[k]
			if !ok {
				id = uint16(len(set.words))
				keys[k] = id
				set.words = append(set.words, k)
				set.byKey = append(set.byKey, nil)
			}
			set.byKey[id] = append(set.byKey[id], uint16(len(set.rules)))
		}
		set.rules = append(set.rules, r)
		return nil
	}
	for _, own := range ownRules() {
		r := &rule{name: own.name, source: own.expr, entropy: own.entropy, check: own.check}
		if err := add(r, own.keywords); err != nil {
			return nil, err
		}
	}
	if err := add(&rule{name: ruleGeneric}, genericWords); err != nil {
		return nil, err
	}
	for _, g := range file.Rules {
		if g.Path != "" || g.Regex == "" || slices.Contains(skipped, g.ID) {
			continue
		}
		r := file.rule(&g)
		if err := add(r, g.Keywords); err != nil {
			return nil, err
		}
	}
	set.gate = newGate(set)
	return set, nil
}

// assignSign is the part of an expression by which gitleaks' context rules are known.
const assignSign = `(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)`

// analyse derives from the expression what lets a keyword hit be judged without running it.
func (r *rule) analyse(keywords []string) error {
	tree, err := syntax.Parse(r.source, syntax.Perl)
	if err != nil {
		return err
	}
	r.context = strings.Contains(r.source, assignSign) && !r.wide
	r.wide = r.wide || r.context
	secret := tree
	if g := captured(tree, max(r.group, 1)); g != nil && r.context {
		secret = g
		r.inside = keywordsInside(tree, keywords)
	}
	r.minLen, _ = lengths(secret)
	if _, longest := lengths(tree); longest < unbounded {
		r.maxLen = longest
	}
	if r.context {
		return nil
	}
	starts, boundary := beginnings(tree)
	for _, k := range keywords {
		if !slices.ContainsFunc(starts, func(l literal) bool { return l.meets(strings.ToLower(k)) }) {
			return nil
		}
	}
	r.starts, r.boundary, r.lead = starts, boundary, leadOf(tree)
	return nil
}

// keywordsInside returns the keywords that stand in a capture group, so in the secret, not before it.
func keywordsInside(tree *syntax.Regexp, keywords []string) (inside []string) {
	for group := 1; group <= tree.MaxCap(); group++ {
		text := strings.ToLower(captured(tree, group).String())
		for _, k := range keywords {
			if strings.Contains(text, strings.Trim(strings.ToLower(k), "_-")) {
				inside = append(inside, strings.ToLower(k))
			}
		}
	}
	return inside
}

// compile returns the rule's expression, compiling it once.
func (r *rule) compile() *regexp.Regexp {
	r.once.Do(func() {
		r.re = regexp.MustCompile(r.source) // parsed by analyse, so it compiles
		if len(r.allow) > 0 {
			r.allowRe = regexp.MustCompile("(?:" + strings.Join(r.allow, ")|(?:") + ")")
		}
	})
	return r.re
}

// accepts says whether a found secret is one: random enough and not excused.
func (r *rule) accepts(secret []byte) bool {
	if r.entropy > 0 && entropy(secret) <= r.entropy {
		return false
	}
	if r.check != nil && !r.check(secret) {
		return false
	}
	if r.allowRe != nil && r.allowRe.Match(secret) {
		return false
	}
	if len(r.stop) > 0 {
		low := strings.ToLower(string(secret))
		return !slices.ContainsFunc(r.stop, func(w string) bool { return strings.Contains(low, w) })
	}
	return true
}
