package redact

// ownRule is a rule of ours: a credential format that the gitleaks set lacks, or that it only matches when one of a
// few terminators follows, which text in a conversation does not promise.
type ownRule struct {
	name     string
	keywords []string
	expr     string
	entropy  float64
	check    func([]byte) bool
}

// ownRules lists them. Formats are those the providers document or show in their consoles; lengths are lower
// bounds, so that a longer generation of keys still matches.
func ownRules() []ownRule {
	return []ownRule{
		{"anthropic-api-key", []string{"sk-ant-"}, `\bsk-ant-[A-Za-z0-9_-]{16,}`, 0, nil},
		{"openai-api-key", []string{"sk-"}, `\bsk-(?:proj-|svcacct-|service-|admin-|None-|or-v1-|lf-|)[A-Za-z0-9_-]{18,}`, 3, mixed},
		{"openai-session-key", []string{"sess-"}, `\bsess-[A-Za-z0-9]{32,}`, 3, mixed},
		{"google-api-key", []string{"aiza"}, `\bAIza[A-Za-z0-9_-]{35}`, 0, nil},
		{"google-oauth-token", []string{"ya29."}, `\bya29\.[A-Za-z0-9_-]{20,}`, 0, nil},
		{"google-oauth-secret", []string{"gocspx-"}, `\bGOCSPX-[A-Za-z0-9_-]{20,}`, 0, nil},
		{"google-refresh-token", []string{"1//0"}, `\b1//0[A-Za-z0-9_-]{30,}`, 0, mixed},
		{"aws-access-key-id", []string{"akia", "asia", "abia", "acca", "a3t"}, `\b(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}\b`, 2.5, nil},
		{"aws-bedrock-api-key", []string{"absk", "bedrock-api-key-"}, `\b(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/]{40,}={0,2}`, 3, nil},
		{"azure-openai-key", []string{"jqqj99"}, `\b[A-Za-z0-9]{40,60}JQQJ99[A-Za-z0-9]{16,40}\b`, 3, nil},
		{"azure-storage-key", []string{"accountkey=", "sharedaccesskey="}, `(?i)\b(?:Account|SharedAccess)Key=([A-Za-z0-9+/]{40,}={0,2})`, 3, nil},
		{"azure-client-secret", []string{"q~"}, `[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}`, 3.5, mixed},
		{"azure-sas-signature", []string{"sig="}, `\bsig=([A-Za-z0-9+/%]{40,}={0,2})`, 3, mixed},
		{"huggingface-token", []string{"hf_", "api_org_"}, `\b(?:hf_|api_org_)[A-Za-z0-9]{30,}`, 3, nil},
		{"groq-api-key", []string{"gsk_"}, `\bgsk_[A-Za-z0-9]{20,}`, 3, nil},
		{"xai-api-key", []string{"xai-"}, `\bxai-[A-Za-z0-9]{20,}`, 3, mixed},
		{"perplexity-key", []string{"pplx-"}, `\bpplx-[A-Za-z0-9]{24,}`, 3, nil},
		{"replicate-token", []string{"r8_"}, `\br8_[A-Za-z0-9]{30,}`, 3, nil},
		{"nvidia-api-key", []string{"nvapi-"}, `\bnvapi-[A-Za-z0-9_-]{30,}`, 3, nil},
		{"cerebras-api-key", []string{"csk-"}, `\bcsk-[A-Za-z0-9]{30,}`, 3, mixed},
		{"fireworks-api-key", []string{"fw_"}, `\bfw_[A-Za-z0-9]{20,}`, 3, mixed},
		{"together-api-key", []string{"tgp_v1_"}, `\btgp_v1_[A-Za-z0-9_-]{30,}`, 3, nil},
		{"pinecone-api-key", []string{"pcsk_"}, `\bpcsk_[A-Za-z0-9_]{30,}`, 3, nil},
		{"langsmith-key", []string{"lsv2_"}, `\blsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}`, 3, nil},
		{"tavily-api-key", []string{"tvly-"}, `\btvly-[A-Za-z0-9_-]{20,}`, 3, mixed},
		{"jina-api-key", []string{"jina_"}, `\bjina_[A-Za-z0-9_-]{40,}`, 3, mixed},
		{"voyage-api-key", []string{"pa-"}, `\bpa-[A-Za-z0-9_-]{40,}`, 3.5, mixed},
		{"elevenlabs-api-key", []string{"sk_"}, `\bsk_[a-f0-9]{40,}\b`, 3, nil},
		{"github-token", []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_"}, `gh[pousr]_[A-Za-z0-9]{30,}`, 3, nil},
		{"github-pat", []string{"github_pat_"}, `github_pat_[A-Za-z0-9_]{50,}`, 3, nil},
		{"gitlab-token", []string{"glpat-", "gldt-", "glrt-", "glptt-", "glagent-", "glsoat-"}, `\bgl(?:pat|dt|rt|ptt|agent|soat)-[A-Za-z0-9_.-]{20,}`, 3, nil},
		{"slack-token", []string{"xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxo-", "xoxe-", "xoxe.", "xapp-"}, `\b(?:xox[bparsoe][-.]|xapp-)[A-Za-z0-9.-]{12,}`, 2.5, mixed},
		{"slack-webhook", []string{"hooks.slack.com"}, `hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/_-]{20,}`, 0, nil},
		{"discord-webhook", []string{"/api/webhooks/"}, `/api/webhooks/[0-9]{15,}/[A-Za-z0-9_-]{40,}`, 0, nil},
		{"stripe-key", []string{"sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_prod_", "rk_prod_"}, `\b[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,}`, 0, nil},
		{"stripe-webhook-secret", []string{"whsec_"}, `\bwhsec_[A-Za-z0-9+/]{24,}={0,2}`, 3, nil},
		{"sendgrid-key", []string{"sg."}, `\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,}`, 3, nil},
		{"npm-token", []string{"npm_"}, `\bnpm_[A-Za-z0-9]{30,}`, 3, nil},
		{"pypi-token", []string{"pypi-"}, `\bpypi-[A-Za-z0-9_-]{50,}`, 3, nil},
		{"docker-pat", []string{"dckr_pat_", "dckr_oat_"}, `\bdckr_[po]at_[A-Za-z0-9_-]{20,}`, 3, nil},
		{"digitalocean-token", []string{"dop_v1_", "doo_v1_", "dor_v1_"}, `\bdo[opr]_v1_[a-f0-9]{40,}`, 3, nil},
		{"databricks-token", []string{"dapi"}, `\bdapi[a-f0-9]{32}`, 3, nil},
		{"vault-token", []string{"hvs.", "hvb.", "hvr."}, `\bhv[sbr]\.[A-Za-z0-9_-]{24,}`, 3, nil},
		{"shopify-token", []string{"shpat_", "shpca_", "shppa_", "shpss_"}, `shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}`, 2, nil},
		{"doppler-token", []string{"dp.pt.", "dp.st.", "dp.ct.", "dp.sa."}, `\bdp\.(?:pt|st|ct|sa)\.[A-Za-z0-9_.]{30,}`, 3, nil},
		{"airtable-token", []string{"pat"}, `\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}`, 3, nil},
		{"mailgun-key", []string{"key-"}, `\bkey-[a-f0-9]{32}\b`, 3, nil},
		{"telegram-bot-token", []string{":aa"}, `\b[0-9]{8,12}:AA[A-Za-z0-9_-]{32,34}`, 3, nil},
		{"jwt", []string{"eyj"}, `\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`, 3, nil},
		{"jwe", []string{"eyj"}, `\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}`, 3, nil},
		{"age-key", []string{"age-secret-key-1"}, `AGE-SECRET-KEY-1[A-Z0-9]{40,}`, 0, nil},
	}
}

// mixed says that a token has digits or both cases in it: a hyphenated phrase has neither.
func mixed(s []byte) bool {
	digits, upper, lower := 0, 0, 0
	for _, b := range s {
		switch {
		case is(b, classDigit):
			digits++
		case is(b, classUpper):
			upper++
		case is(b, classLower):
			lower++
		}
	}
	return digits >= 2 || (upper >= 3 && lower >= 3)
}
