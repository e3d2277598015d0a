package directory

import (
	"strings"

	"github.com/modeltrail/modeltrail/schemas/internal/strictyaml"
)

func (p *parsing) credential(n strictyaml.Node) *Credential {
	m := n.Map("id", "app", "team", "principal", "owner", "kind", "fingerprint", "fingerprints", "gateway_keys",
		"jwt_claim", "status", "created", "expires", "revoked_at")
	c := &Credential{
		ID: p.id(m.Need("id"), "credential"), App: p.reference(m.Get("app"), "app"),
		Team: p.reference(m.Get("team"), "team"), Principal: m.Get("principal").Text(),
		Owner: m.Get("owner").Text(), Kind: m.Get("kind").Text(),
		Status: p.choice(m.Get("status"), StatusActive, StatusRevoked),
	}
	if c.App == "" && c.Team == "" {
		n.Fault("names neither app nor team; add the app that uses this credential")
	}
	p.matchers(n, m, c)
	c.Created, _ = m.Get("created").Instant()
	c.Expires, _ = m.Get("expires").Instant()
	c.RevokedAt, _ = m.Get("revoked_at").Instant()
	if !c.Created.IsZero() && !c.Expires.IsZero() && !c.Created.Before(c.Expires) {
		m.Get("expires").Fault("is not after created; correct one of them")
	}
	if !c.RevokedAt.IsZero() && c.Status != StatusRevoked {
		m.Get("revoked_at").Fault("is set but status is active; write status: revoked")
	}
	p.later = append(p.later, func() { p.inheritTeam(m, c) })
	p.d.credentials[c.ID] = c
	return c
}

// inheritTeam gives a credential the team of its app.
func (p *parsing) inheritTeam(m strictyaml.Map, c *Credential) {
	app, ok := p.d.apps[c.App]
	if !ok {
		return
	}
	if c.Team != "" && c.Team != app.Team {
		m.Get("team").Fault("is %q but app %q belongs to team %q; remove team here", c.Team, c.App, app.Team)
	}
	c.Team = app.Team
}

// matchers reads how calls with this credential are recognised.
func (p *parsing) matchers(n strictyaml.Node, m strictyaml.Map, c *Credential) {
	if one := m.Get("fingerprint"); one.Present() {
		p.fingerprint(one, c)
	}
	for _, item := range m.Get("fingerprints").Items() {
		p.fingerprint(item, c)
	}
	for _, item := range m.Get("gateway_keys").Items() {
		key := item.Text()
		if key == "" {
			item.Fault("is empty; remove it")
			continue
		}
		p.unique(item, "gateway key", key)
		c.GatewayKeys = append(c.GatewayKeys, key)
		p.d.byGatewayKey[key] = c
	}
	if claim := m.Get("jwt_claim"); claim.Present() {
		cm := claim.Map("name", "value")
		c.Claim = &Claim{Name: cm.Need("name").Text(), Value: cm.Need("value").Text()}
		p.unique(claim, "jwt claim", c.Claim.Name+"="+c.Claim.Value)
		p.d.byClaim[*c.Claim] = c
	}
	if len(c.Fingerprints) == 0 && len(c.GatewayKeys) == 0 && c.Claim == nil {
		n.Fault("can match no call; add fingerprint, gateway_keys or jwt_claim")
	}
}

const fingerprintPrefix = "mt1:"

func (p *parsing) fingerprint(n strictyaml.Node, c *Credential) {
	fp := n.Text()
	c.Fingerprints = append(c.Fingerprints, fp)
	digits, ok := strings.CutPrefix(fp, fingerprintPrefix)
	if !ok || len(digits) != 32 || strings.Trim(digits, "0123456789abcdef") != "" {
		n.Fault("is not a fingerprint; write mt1: and 32 lower-case hex digits as shown in credential_fingerprint, never the key itself")
		return
	}
	p.unique(n, "fingerprint", fp)
	p.d.byFingerprint[fp] = c
}
