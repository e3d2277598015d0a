// Package modelid knows the documented spellings of one model: dated snapshots and Bedrock's region-prefixed
// inference profiles. It never guesses: two ids are the same model only by one of these written rules.
package modelid

import "strings"

// Base returns the id without a date suffix and reports whether there was one. The suffixes are those that
// providers document for snapshots: -YYYY-MM-DD (OpenAI, "gpt-4o-2024-08-06"), -YYYYMMDD (Anthropic,
// "claude-sonnet-4-5-20250929") and @YYYYMMDD (Anthropic models on Google Cloud). The result shares id's memory.
func Base(id string) (base string, dated bool) {
	n := len(id)
	switch {
	case n > 11 && id[n-11] == '-' && id[n-6] == '-' && id[n-3] == '-' && date(id[n-10:n-6], id[n-5:n-3], id[n-2:]):
		return id[:n-11], true
	case n > 9 && (id[n-9] == '-' || id[n-9] == '@') && date(id[n-8:n-4], id[n-4:n-2], id[n-2:]):
		return id[:n-9], true
	}
	return id, false
}

func date(year, month, day string) bool {
	y, ok1 := number(year)
	m, ok2 := number(month)
	d, ok3 := number(day)
	return ok1 && ok2 && ok3 && y >= 2000 && y < 2100 && m >= 1 && m <= 12 && d >= 1 && d <= 31
}

func number(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// regions are the geography prefixes of Bedrock cross-region inference profiles
// (Amazon Bedrock User Guide, "Supported Regions and models for inference profiles").
var regions = [...]string{"us.", "eu.", "apac.", "global.", "jp.", "au.", "us-gov.", "ca."}

// WithoutRegion returns a Bedrock model id without the geography prefix of a cross-region inference profile, and
// reports whether there was one: "us.anthropic.claude-x" is "anthropic.claude-x". The result shares id's memory.
func WithoutRegion(id string) (base string, regional bool) {
	for _, p := range regions {
		if rest, ok := strings.CutPrefix(id, p); ok && strings.IndexByte(rest, '.') > 0 {
			return rest, true
		}
	}
	return id, false
}

// FromARN returns the model or profile id inside a Bedrock ARN ("arn:aws:bedrock:r:acct:inference-profile/ID",
// ".../foundation-model/ID"), or id itself. Ids of application profiles and provisioned throughput are opaque and
// come back as they are.
func FromARN(id string) string {
	if !strings.HasPrefix(id, "arn:") {
		return id
	}
	for _, kind := range [...]string{":inference-profile/", ":foundation-model/"} {
		if _, rest, ok := strings.Cut(id, kind); ok {
			return rest
		}
	}
	return id
}
