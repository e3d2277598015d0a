package redact

import (
	"math/rand/v2"
	"regexp/syntax"
	"strings"
	"testing"
)

// sample writes a random text that an expression matches.
func sample(re *syntax.Regexp, r *rand.Rand, b *strings.Builder) {
	repeat := func(low, high int) {
		if high < 0 || high > low+8 {
			high = low + 8
		}
		for range low + r.IntN(high-low+1) {
			sample(re.Sub[0], r, b)
		}
	}
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		b.WriteRune(pick(re.Rune, r))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte('x')
	case syntax.OpStar:
		repeat(0, -1)
	case syntax.OpPlus:
		repeat(1, -1)
	case syntax.OpQuest:
		repeat(0, 1)
	case syntax.OpRepeat:
		repeat(re.Min, re.Max)
	case syntax.OpAlternate:
		sample(re.Sub[r.IntN(len(re.Sub))], r, b)
	default:
		for _, sub := range re.Sub {
			sample(sub, r, b)
		}
	}
}

// pick chooses a printable ASCII character of a class where it has one.
func pick(ranges []rune, r *rand.Rand) rune {
	var all []rune
	for i := 0; i+1 < len(ranges); i += 2 {
		for c := max(ranges[i], ' '); c <= min(ranges[i+1], '~'); c++ {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return ranges[0]
	}
	return all[r.IntN(len(all))]
}

// TestRules_EveryRuleFindsWhatItDescribes writes texts from each rule's own expression, ours and gitleaks', and
// expects the secret in them to go, by this rule or by a wider one.
func TestRules_EveryRuleFindsWhatItDescribes(t *testing.T) {
	red := newTest(t)
	rng := rand.New(rand.NewPCG(11, 12))
	tried, missed := 0, map[string]int{}
	for _, rule := range red.set.rules {
		if rule.source == "" {
			continue
		}
		tree, err := syntax.Parse(rule.source, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		for range 12 {
			var b strings.Builder
			sample(tree, rng, &b)
			text := b.String()
			loc := rule.compile().FindStringSubmatchIndex("say " + text + " end")
			if loc == nil || strings.ContainsAny(text, "\x00") {
				continue
			}
			g := 2 * rule.group
			if g == 0 && len(loc) > 2 && loc[2] >= 0 {
				g = 2
			}
			secret := ("say " + text + " end")[loc[g]:loc[g+1]]
			low := strings.ToLower(text)
			keyed := false
			for id, rules := range red.set.byKey {
				for _, n := range rules {
					keyed = keyed || red.set.rules[n] == rule && strings.Contains(low, red.keyword(id))
				}
			}
			if !keyed || !rule.accepts([]byte(secret)) || len(secret) < minRun || wordy([]byte(secret)) {
				continue // the rule itself would not take it, or it reads like a name
			}
			tried++
			out := body(t, red, "text/plain", "say "+text+" end")
			if strings.Contains(out, secret) {
				missed[rule.name]++
				if missed[rule.name] == 1 {
					t.Logf("%s: %q -> %q", rule.name, text, out)
				}
			}
		}
	}
	t.Logf("%d texts of %d rules", tried, len(red.set.rules))
	for name, n := range missed {
		t.Errorf("%s: %d missed", name, n)
	}
}

// keyword returns a keyword by its id, read back from the rule set.
func (r *Redactor) keyword(id int) string { return r.set.words[id] }
