package identity_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/identity"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/directory"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/timeline"
)

const text = `
teams:
  - {id: finance, owner: fiona@example.com, cost_center: CC-1}
  - {id: support, owner: sam@example.com}
apps:
  - {id: invoice-bot, team: finance, owner: ivan@example.com, purpose: invoices}
  - {id: helpdesk, team: support}
users:
  - {id: anna, team: support, aliases: ["auth0|1", anna@example.com]}
  - {id: batch, team: finance, kind: service}
credentials:
  - {id: key-1, app: invoice-bot, owner: olga@example.com, fingerprint: "mt1:00000000000000000000000000000001", expires: 2027-01-01}
  - {id: key-2, app: invoice-bot, principal: svc-invoices, fingerprint: "mt1:00000000000000000000000000000002", status: revoked, revoked_at: 2026-06-01}
  - {id: shared, team: support, gateway_keys: [kong-7]}
  - {id: web, app: helpdesk, jwt_claim: {name: azp, value: web}}
identity:
  jwt: {principal: [email, sub], team: [groups], app: [app_id], teams: {grp-1: finance}, apps: {"42": helpdesk}}
  headers:
    - {gateways: [edge], principal: [x-consumer], team: [x-team], app: [x-app], credential: [x-key-id]}
`

var start = time.Date(2026, 8, 24, 10, 0, 0, 0, time.UTC)

func step(t testing.TB) (*identity.Step, *timeline.Timeline[*directory.Directory], string) {
	t.Helper()
	d, err := directory.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var tl timeline.Timeline[*directory.Directory]
	tl.Add(time.Unix(0, 0), d.Version(), d)
	return identity.New(&tl), &tl, d.Version()
}

func attributes(kv ...string) (out []*event.Attribute) {
	for i := 0; i < len(kv); i += 2 {
		out = append(out, &event.Attribute{Key: kv[i], Value: kv[i+1]})
	}
	return out
}

func record(c *event.Credential, gateway string, headers ...string) *batch.Record {
	return &batch.Record{
		IngestedAt: start.Add(time.Second),
		Envelope: &event.Envelope{
			StartedUnixNano: uint64(start.UnixNano()), Gateway: gateway, Credential: c,
			Request: &event.Request{Headers: attributes(headers...)},
		},
		Event: &event.Event{},
	}
}

func TestIdentityByEachSource(t *testing.T) {
	s, _, version := step(t)
	unknown := event.Identity{
		Principal: "unknown", PrincipalKind: "unknown", TeamId: "unknown", AppId: "unknown", Owner: "unknown", Purpose: "unknown",
		CostCenter: "unknown", CredentialStatus: "unknown", Source: "none",
	}
	bot := event.Identity{
		Principal: "key-1", PrincipalKind: "service", TeamId: "finance", AppId: "invoice-bot", Owner: "olga@example.com", Purpose: "invoices",
		CostCenter: "CC-1", CredentialId: "key-1", CredentialStatus: "active", Source: "credential",
	}
	key1 := &event.Credential{Fingerprint: "mt1:00000000000000000000000000000001", Kind: "bearer"}
	with := func(id *event.Identity, change func(*event.Identity)) *event.Identity {
		c := proto.Clone(id).(*event.Identity)
		change(c)
		return c
	}
	for name, c := range map[string]struct {
		r    *batch.Record
		want *event.Identity
	}{
		"fingerprint": {record(key1, ""), &bot},
		"revoked": {record(&event.Credential{Fingerprint: "mt1:00000000000000000000000000000002"}, ""), with(&bot, func(i *event.Identity) {
			i.Principal, i.CredentialId, i.CredentialStatus, i.Owner = "svc-invoices", "key-2", "revoked", "ivan@example.com"
		})},
		"unknown key": {record(&event.Credential{Fingerprint: "mt1:0000000000000000000000000000000f", Kind: "bearer"}, ""), &unknown},
		"no credential": {record(&event.Credential{Kind: "none"}, ""), with(&unknown, func(i *event.Identity) {
			i.CredentialStatus = "none"
		})},
		"verified token": {record(&event.Credential{Kind: "bearer", Fingerprint: "mt1:x", ClaimsVerified: true, Claims: attributes("sub", "auth0|1", "groups", `["other", "grp-1"]`)}, ""), with(&unknown, func(i *event.Identity) {
			i.Principal, i.PrincipalKind, i.TeamId, i.Owner, i.CostCenter, i.Source = "anna", "user", "finance", "fiona@example.com", "CC-1", "jwt"
		})},
		"unverified token": {record(&event.Credential{Kind: "bearer", Claims: attributes("sub", "auth0|1", "groups", "finance")}, ""), &unknown},
		"token client": {record(&event.Credential{Kind: "bearer", ClaimsVerified: true, Claims: attributes("azp", "web", "email", "zoe@example.com")}, ""), with(&unknown, func(i *event.Identity) {
			i.Principal, i.PrincipalKind, i.TeamId, i.AppId, i.Owner = "zoe@example.com", "user", "support", "helpdesk", "sam@example.com"
			i.CredentialId, i.CredentialStatus, i.Source = "web", "active", "jwt"
		})},
		"mapped app": {record(&event.Credential{ClaimsVerified: true, Claims: attributes("app_id", "42", "groups", "finance")}, ""), with(&unknown, func(i *event.Identity) {
			i.TeamId, i.AppId, i.Owner, i.Source, i.CredentialStatus = "support", "helpdesk", "sam@example.com", "jwt", "none"
		})},
		"trusted headers": {record(nil, "edge", "x-key-id", "kong-7", "x-consumer", "batch", "x-team", "finance"), with(&unknown, func(i *event.Identity) {
			i.Principal, i.PrincipalKind, i.TeamId, i.Owner = "batch", "service", "support", "sam@example.com"
			i.CredentialId, i.CredentialStatus, i.Source = "shared", "active", "header"
		})},
		"untrusted headers": {record(nil, "other", "x-key-id", "kong-7", "x-team", "finance"), with(&unknown, func(i *event.Identity) {
			i.CredentialStatus = "none"
		})},
		"unknown gateway key": {record(nil, "edge", "x-key-id", "kong-8"), &unknown},
		"header fills the user of a key": {record(key1, "edge", "x-consumer", "anna@example.com", "x-app", "helpdesk"), with(&bot, func(i *event.Identity) {
			i.Principal, i.PrincipalKind = "anna", "user" // the app of another team does not overrule the key's
		})},
		"team of a known user": {record(nil, "edge", "x-consumer", "anna"), with(&unknown, func(i *event.Identity) {
			i.Principal, i.PrincipalKind, i.TeamId, i.Owner, i.Source, i.CredentialStatus = "anna", "user", "support", "sam@example.com", "header", "none"
		})},
		"empty record": {&batch.Record{Event: &event.Event{}}, with(&unknown, func(i *event.Identity) { i.CredentialStatus = "none" })},
	} {
		t.Run(name, func(t *testing.T) {
			if v := s.Process(c.r); v != (processors.Verdict{}) {
				t.Fatalf("verdict %+v", v)
			}
			c.want.DirectoryVersion = version
			if diff := cmp.Diff(c.want, c.r.Event.Identity, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExpiryIsJudgedByTheStartOfTheCall(t *testing.T) {
	s, _, _ := step(t)
	r := record(&event.Credential{Fingerprint: "mt1:00000000000000000000000000000001"}, "")
	r.IngestedAt = time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC) // a late delivery
	s.Process(r)
	if r.Event.Identity.CredentialStatus != "active" {
		t.Errorf("status %s", r.Event.Identity.CredentialStatus)
	}
	r.Envelope.StartedUnixNano = uint64(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	s.Process(r)
	if r.Event.Identity.CredentialStatus != "expired" || r.Event.Identity.TeamId != "finance" {
		t.Errorf("identity %v", r.Event.Identity)
	}
}

func TestOrderOfSourcesIsTheFiles(t *testing.T) {
	for order, want := range map[string]string{"[credential, header]": "key-1", "[header, credential]": "shared"} {
		d, err := directory.Parse([]byte(text + "  order: " + order + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		var tl timeline.Timeline[*directory.Directory]
		tl.Add(start, d.Version(), d)
		r := record(&event.Credential{Fingerprint: "mt1:00000000000000000000000000000001"}, "edge", "x-key-id", "kong-7")
		identity.New(&tl).Process(r)
		if r.Event.Identity.CredentialId != want {
			t.Errorf("%s: %v", order, r.Event.Identity)
		}
	}
}

func TestWithoutDirectoryTheCallIsKept(t *testing.T) {
	r := record(&event.Credential{Fingerprint: "mt1:x"}, "")
	identity.New(&timeline.Timeline[*directory.Directory]{}).Process(r)
	if id := r.Event.Identity; id.DirectoryVersion != identity.NoDirectory || id.TeamId != "unknown" || id.CredentialStatus != "unknown" {
		t.Errorf("identity %v", id)
	}
}

func TestReusedRecordKeepsNothingOfTheLastCall(t *testing.T) {
	s, _, _ := step(t)
	r := record(&event.Credential{Fingerprint: "mt1:00000000000000000000000000000001"}, "")
	s.Process(r)
	r.Envelope = &event.Envelope{}
	s.Process(r)
	if id := r.Event.Identity; id.CredentialId != "" || id.TeamId != "unknown" || id.Owner != "unknown" {
		t.Errorf("identity %v", id)
	}
}

func TestStepIsSafeForConcurrentUse(t *testing.T) {
	s, tl, _ := step(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				r := record(&event.Credential{Fingerprint: "mt1:00000000000000000000000000000001"}, "edge", "x-consumer", "anna")
				s.Process(r)
				if r.Event.Identity.TeamId != "finance" {
					t.Errorf("identity %v", r.Event.Identity)
					return
				}
			}
		})
	}
	wg.Go(func() {
		d, err := directory.Parse([]byte("teams: []"))
		if err != nil {
			t.Error(err)
			return
		}
		tl.Add(start.Add(time.Hour), d.Version(), d)
	})
	wg.Wait()
}

func BenchmarkProcess(b *testing.B) {
	s, _, _ := step(b)
	for name, r := range map[string]*batch.Record{
		"credential": record(&event.Credential{Fingerprint: "mt1:00000000000000000000000000000001"}, "edge"),
		"jwt":        record(&event.Credential{ClaimsVerified: true, Claims: attributes("iss", "x", "sub", "auth0|1", "groups", "a,b,grp-1")}, ""),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Process(r)
			}
		})
	}
}
