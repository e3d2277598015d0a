package demo_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/demo"
	"github.com/modeltrail/modeltrail/cmd/internal/demo/traffic"
	"github.com/modeltrail/modeltrail/ingest/credential"
	"github.com/modeltrail/modeltrail/schemas/directory"
	"github.com/modeltrail/modeltrail/schemas/pricing"
)

func TestDirectory_HoldsEveryDemoCredential(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	fingerprint := func(secret string) string { return credential.Fingerprint(key, secret) }
	d, err := directory.Parse(demo.Directory(fingerprint))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range traffic.Credentials() {
		found, ok := d.ByFingerprint(fingerprint(c.Secret))
		if !ok || found.App != c.App || found.Team != c.Team {
			t.Errorf("%s: %+v", c.ID, found)
		}
	}
	if len(d.Apps()) != len(traffic.Credentials()) || len(d.Teams()) < 4 {
		t.Error("apps and credentials differ")
	}
}

func TestScenario_OnlyThePlannedCallIsOutOfScope(t *testing.T) {
	d, err := directory.Parse(demo.Directory(func(s string) string { return credential.Fingerprint(bytes.Repeat([]byte{7}, 32), s) }))
	if err != nil {
		t.Fatal(err)
	}
	prices, err := pricing.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range traffic.Models() {
		g := d.Govern(u.App+"-key", u.App, u.Team)
		allowed := true
		if r := g.Rule(directory.Models); r != nil {
			allowed = r.DecideModel(u.Model) == directory.Allowed
		}
		if allowed == u.OutOfScope {
			t.Errorf("%+v: allowed %v", u, allowed)
		}
		if _, known := prices.Find(u.Provider, u.Model, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)); !known {
			t.Errorf("%s has no price", u.Model)
		}
	}
}
