package querycmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/schemas/queries"
)

// list prints every canned question with its parameters.
func list(w io.Writer) error {
	all, err := queries.List()
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, q := range all {
		fmt.Fprintf(&b, "%s\n  %s\n", q.Name, q.Question)
		for _, p := range q.Parameters {
			fmt.Fprintf(&b, "    %-20s %s\n", p.Name+label(p), p.Description)
		}
		b.WriteByte('\n')
	}
	_, err = io.WriteString(w, strings.TrimSuffix(b.String(), "\n"))
	return err
}

func label(p queries.Parameter) string {
	switch {
	case p.Required:
		return " (required)"
	case p.Default == "":
		return ""
	}
	return " = " + p.Default
}

func completeName(_ *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := queries.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []cobra.Completion
	for _, q := range all {
		if strings.HasPrefix(q.Name, prefix) {
			out = append(out, cobra.CompletionWithDesc(q.Name, q.Title))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeParam completes the names of the chosen question's parameters, and the values of those with a fixed set.
func completeParam(_ *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	q, err := queries.Get(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	name, value, hasValue := strings.Cut(prefix, "=")
	var out []cobra.Completion
	for _, p := range q.Parameters {
		switch {
		case !hasValue && strings.HasPrefix(p.Name, name):
			out = append(out, cobra.CompletionWithDesc(p.Name+"=", p.Description))
		case hasValue && p.Name == name:
			for _, v := range p.Values {
				if v != "" && strings.HasPrefix(v, value) {
					out = append(out, p.Name+"="+v)
				}
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

// suggest names the canned question that shares the most words with a misspelt name.
func suggest(name string) string {
	all, err := queries.List()
	if err != nil {
		return ""
	}
	best, bestScore := "", 0
	for _, q := range all {
		score := 0
		for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' || r == ' ' }) {
			if len(word) > 2 && strings.Contains(q.Name, word) {
				score++
			}
		}
		if score > bestScore {
			best, bestScore = q.Name, score
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}
