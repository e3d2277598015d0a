package redact

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
)

// canary is one planted value: the text around it must survive, the secret must not.
type canary struct {
	class  string
	before string // context that the rule needs, "" if none
	secret string
	pii    bool
}

const (
	alnum   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	lower   = "abcdefghijklmnopqrstuvwxyz0123456789"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	hexes   = "0123456789abcdef"
	base64s = alnum + "+/"
	urlsafe = alnum + "_-"
)

func random62(r *rand.Rand, set string, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(set[r.IntN(len(set))])
	}
	return b.String()
}

// canaries makes one value of every class. They are random, so no value is anybody's.
func canaries(seed uint64) []canary {
	r := rand.New(rand.NewPCG(seed, 7))
	gen := func(set string, n int) string { return random62(r, set, n) }
	pem := func(label string) string {
		var b strings.Builder
		b.WriteString("-----BEGIN " + label + "-----\n")
		for range 5 {
			b.WriteString(gen(base64s, 64) + "\n")
		}
		b.WriteString(gen(base64s, 22) + "==\n-----END " + label + "-----")
		return b.String()
	}
	jwt := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"`+gen(lower, 12)+`","exp":1900000000}`)) + "." + gen(urlsafe, 43)
	return append([]canary{
		{"openai", "", "sk-" + gen(alnum, 20) + "T3BlbkFJ" + gen(alnum, 20), false},
		{"openai-project", "", "sk-proj-" + gen(urlsafe, 74) + "T3BlbkFJ" + gen(urlsafe, 74), false},
		{"openai-short", "", "sk-proj-" + gen(alnum, 32), false},
		{"openrouter", "", "sk-or-v1-" + gen(hexes, 64), false},
		{"anthropic", "", "sk-ant-api03-" + gen(urlsafe, 93) + "AA", false},
		{"anthropic-short", "", "sk-ant-" + gen(alnum, 24), false},
		{"google", "", "AIza" + gen(urlsafe, 35), false},
		{"google-oauth", "", "ya29." + gen(urlsafe, 60), false},
		{"aws-id", "", "AKIA" + gen(upper, 16), false},
		{"aws-secret", "aws_secret_access_key = ", gen(base64s, 38) + "a1", false},
		{"azure-openai", "", gen(alnum, 52) + "JQQJ99" + gen(alnum, 10) + "ACOG" + gen(alnum, 4), false},
		{"azure-storage", "AccountKey=", gen(base64s, 86) + "==", false},
		{"azure-key", "api-key: ", gen(hexes, 30) + "1a", false},
		{"huggingface", "", "hf_" + gen(alnum, 34), false},
		{"groq", "", "gsk_" + gen(alnum, 52), false},
		{"xai", "", "xai-" + gen(alnum, 80), false},
		{"perplexity", "", "pplx-" + gen(alnum, 48), false},
		{"replicate", "", "r8_" + gen(alnum, 37), false},
		{"nvidia", "", "nvapi-" + gen(urlsafe, 64), false},
		{"github", "", "ghp_" + gen(alnum, 36), false},
		{"github-fine", "", "github_pat_" + gen(alnum, 22) + "_" + gen(alnum, 59), false},
		{"gitlab", "", "glpat-" + gen(alnum, 20), false},
		{"slack-bot", "", "xoxb-" + gen("0123456789", 12) + "-" + gen("0123456789", 12) + "-" + gen(alnum, 24), false},
		{"slack-webhook", "https://", "hooks.slack.com/services/T" + gen(upper, 8) + "/B" + gen(upper, 8) + "/" + gen(alnum, 24), false},
		{"stripe", "", "sk_live_" + gen(alnum, 24), false},
		{"sendgrid", "", "SG." + gen(urlsafe, 22) + "." + gen(urlsafe, 43), false},
		{"twilio", "", "SK" + gen(hexes, 32), false},
		{"npm", "", "npm_" + gen(alnum, 36), false},
		{"pypi", "", "pypi-AgEIcHlwaS5vcmc" + gen(urlsafe, 80), false},
		{"digitalocean", "", "dop_v1_" + gen(hexes, 64), false},
		{"databricks", "", "dapi" + gen(hexes, 32), false},
		{"vault", "", "hvs." + gen(urlsafe, 95), false},
		{"telegram", "", gen("123456789", 10) + ":AA" + gen(urlsafe, 33), false},
		{"jwt", "", jwt, false},
		{"bearer", "Authorization: Bearer ", gen(alnum, 14) + "7a", false},
		{"basic", "Authorization: Basic ", base64.StdEncoding.EncodeToString([]byte("svc:" + gen(alnum, 12))), false},
		{"url-password", "postgres://app:", gen(alnum, 14), false},
		{"password", "DB_PASSWORD=", gen(alnum, 8) + "9x!", false},
		{"heroku", "heroku_api_key = ", gen(hexes, 8) + "-" + gen(hexes, 4) + "-" + gen(hexes, 4) + "-" + gen(hexes, 4) + "-" + gen(hexes, 12), false},
		{"adafruit", "adafruit_key=", gen(lower, 32), false},
		{"mailgun", "mailgun = ", "key-" + gen(hexes, 32), false},
		{"pem-rsa", "", pem("RSA PRIVATE KEY"), false},
		{"pem-openssh", "", pem("OPENSSH PRIVATE KEY"), false},
		{"base64", "", base64.StdEncoding.EncodeToString([]byte("key=sk-ant-" + gen(alnum, 24) + "\n")), false},
	}, personal(gen)...)
}

// personal makes the personal data among the canaries.
func personal(gen func(set string, n int) string) []canary {
	return []canary{
		{"email", "", gen("abcdefgh", 6) + "." + gen("abcdefgh", 5) + "@mail." + gen("abcdefgh", 5) + ".example", true},
		{"phone", "", "+49 170 " + gen("23456789", 7), true},
		{"phone-us", "", "(415) 555-" + gen("23456789", 4), true},
		{"card", "", "4111 1111 1111 1111", true},
		{"card-plain", "", "5555555555554444", true},
		{"card-amex", "", "3782-822463-10005", true},
		{"iban", "", "DE89 3704 0044 0532 0130 00", true},
		{"iban-plain", "", "GB29NWBK60161331926819", true},
	}
}

// after closes what a canary's context leaves open.
func (c canary) after() string {
	if c.class == "url-password" {
		return "@db.internal:5432/app"
	}
	return ""
}

func (c canary) text() string { return c.before + c.secret + c.after() }
