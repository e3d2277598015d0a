package clickhouse

import (
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// findingsBlock has one row for every finding.
type findingsBlock struct {
	block
	findingKey                                                                             text
	detector, detectorVersion                                                              dictionary
	severity                                                                               fixed[int8]
	title, description                                                                     text
	teamID, appID, credentialFingerprint, principal, provider, model, policyID, policyRule dictionary
	callID                                                                                 text
	firstSeenAt, lastSeenAt, detectedAt                                                    fixed[int64]
	impactUSD                                                                              nullable[int64]
	evidence                                                                               mapping[*text]
	topic                                                                                  dictionary
	partition                                                                              fixed[int32]
	offset, ingestedAt                                                                     fixed[int64]
	schemaVersion                                                                          fixed[uint16]
}

func newFindingsBlock() *findingsBlock {
	b := &findingsBlock{block: block{name: "findings"}}
	b.evidence.values = &text{}
	b.add("finding_key", kindText, &b.findingKey)
	b.add("detector", kindDictionary, &b.detector)
	b.add("detector_version", kindDictionary, &b.detectorVersion)
	b.add("severity", enumSeverity, &b.severity)
	b.add("title", kindText, &b.title)
	b.add("description", kindText, &b.description)
	b.add("team_id", kindDictionary, &b.teamID)
	b.add("app_id", kindDictionary, &b.appID)
	b.add("credential_fingerprint", kindDictionary, &b.credentialFingerprint)
	b.add("principal", kindDictionary, &b.principal)
	b.add("provider", kindDictionary, &b.provider)
	b.add("model", kindDictionary, &b.model)
	b.add("policy_id", kindDictionary, &b.policyID)
	b.add("policy_rule", kindDictionary, &b.policyRule)
	b.add("call_id", kindText, &b.callID)
	b.add("first_seen_at", kindMicros, &b.firstSeenAt)
	b.add("last_seen_at", kindMicros, &b.lastSeenAt)
	b.add("detected_at", kindMicros, &b.detectedAt)
	b.add("impact_usd", kindMoney, &b.impactUSD)
	b.add("evidence", kindTexts, &b.evidence)
	b.add("topic", kindDictionary, &b.topic)
	b.add("partition", kindInt32, &b.partition)
	b.add("offset", kindInt64, &b.offset)
	b.add("ingested_at", kindMillis, &b.ingestedAt)
	b.add("schema_version", kindUint16, &b.schemaVersion)
	return b
}

func (t *Tables) addFinding(f *event.Finding, at batch.Position, ingestedMillis int64) {
	b := t.findings
	b.findingKey.add(f.Key)
	b.detector.add(f.Detector)
	b.detectorVersion.add(f.DetectorVersion)
	enum(&b.severity, f.Severity, event.Severity_SEVERITY_CRITICAL)
	b.title.add(f.Title)
	b.description.add(f.Description)
	b.teamID.add(f.TeamId)
	b.appID.add(f.AppId)
	b.credentialFingerprint.add(f.CredentialFingerprint)
	b.principal.add(f.Principal)
	b.provider.add(f.Provider)
	b.model.add(f.Model)
	b.policyID.add(f.PolicyId)
	b.policyRule.add(f.PolicyRule)
	b.callID.add(f.CallId)
	b.firstSeenAt.add(micros(f.FirstSeenUnixNano))
	b.lastSeenAt.add(micros(f.LastSeenUnixNano))
	b.detectedAt.add(micros(f.DetectedUnixNano))
	t.adjusted.money(&b.impactUSD, "impact_usd", f.ImpactPicoUsd)
	for _, e := range f.Evidence {
		b.evidence.keys.add(e.Key)
		b.evidence.values.add(e.Value)
	}
	b.evidence.endRow()
	b.topic.add(at.Topic)
	b.partition.add(at.Partition)
	b.offset.add(at.Offset)
	b.ingestedAt.add(ingestedMillis)
	unsigned(t.adjusted, &b.schemaVersion, "schema_version", int64(f.SchemaVersion))
}
