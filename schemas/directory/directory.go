// Package directory owns the file that says who exists and what they may do: teams, apps, users, credentials,
// the sources of identity, and policies. A Directory is one immutable version of that file, checked as a whole
// and indexed; the format is described in docs/directory.md. No I/O.
package directory

import (
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Team is a group of people with a budget.
type Team struct {
	ID               string              `json:"id"`
	Name             string              `json:"name"`
	Owner            string              `json:"owner"`
	CostCenter       string              `json:"cost_center"`
	MonthlyBudgetUSD decimal.NullDecimal `json:"monthly_budget_usd"` // invalid: no budget was set
	Contacts         []string            `json:"contacts"`
}

// App is a program or service that calls models on behalf of a team.
type App struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Team        string `json:"team"`
	Owner       string `json:"owner"`
	Purpose     string `json:"purpose"`
	Environment string `json:"environment"`
}

// User is a person or service account that identity sources name.
type User struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Team    string   `json:"team"`
	Kind    string   `json:"kind"` // KindUser or KindService
	Aliases []string `json:"aliases"`
}

// Kinds of principal, as written into Identity.principal_kind.
const (
	KindUser    = "user"
	KindService = "service"
)

// Claim is one JWT claim with the value it must have.
type Claim struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Credential is one API key, token client or cloud identity.
type Credential struct {
	ID           string    `json:"id"`
	App          string    `json:"app"`
	Team         string    `json:"team"` // the app's team when App is set
	Principal    string    `json:"principal"`
	Owner        string    `json:"owner"`
	Kind         string    `json:"kind"`
	Fingerprints []string  `json:"fingerprints"`
	GatewayKeys  []string  `json:"gateway_keys"`
	Claim        *Claim    `json:"claim"`
	Status       string    `json:"status"`     // StatusActive or StatusRevoked, as written
	Created      time.Time `json:"created"`    // zero: not said
	Expires      time.Time `json:"expires"`    // zero: never
	RevokedAt    time.Time `json:"revoked_at"` // zero with StatusRevoked: since ever
}

// Values of Identity.credential_status.
const (
	StatusActive  = "active"
	StatusRevoked = "revoked"
	StatusExpired = "expired"
	StatusUnknown = event.Unknown // a credential that the directory does not hold
	StatusNone    = "none"        // the call carried no credential
)

// StatusAt returns the credential's status at the time of a call: StatusActive, StatusRevoked or StatusExpired.
func (c *Credential) StatusAt(at time.Time) string {
	switch {
	case c.Status == StatusRevoked && !at.Before(c.RevokedAt):
		return StatusRevoked
	case !c.Expires.IsZero() && !at.Before(c.Expires):
		return StatusExpired
	default:
		return StatusActive
	}
}

// Directory is one version of the file. It is immutable and safe for concurrent use; values reached through it
// MUST NOT be changed.
type Directory struct {
	version string
	file    file

	teams         map[string]*Team
	apps          map[string]*App
	users         map[string]*User // by id and by alias
	credentials   map[string]*Credential
	byFingerprint map[string]*Credential
	byGatewayKey  map[string]*Credential
	byClaim       map[Claim]*Credential

	everyone         *layer
	teamLayers       map[string]*layer
	appLayers        map[string]*layer
	credentialLayers map[string]*layer
}

// file is the content in file order; its JSON is the canonical form that the version is computed from.
type file struct {
	Teams       []*Team       `json:"teams"`
	Apps        []*App        `json:"apps"`
	Users       []*User       `json:"users"`
	Credentials []*Credential `json:"credentials"`
	Sources     Sources       `json:"identity"`
	Policies    []*Policy     `json:"policies"`
	Ungoverned  string        `json:"ungoverned"`
}

// Version returns "sha256:" and the first 12 hex digits of the hash of the canonical content: comments, layout and
// the order of keys do not change it.
func (d *Directory) Version() string { return d.version }

// Team returns the team with that id.
func (d *Directory) Team(id string) (*Team, bool) { v, ok := d.teams[id]; return v, ok }

// App returns the app with that id.
func (d *Directory) App(id string) (*App, bool) { v, ok := d.apps[id]; return v, ok }

// User returns the user with that id or alias.
func (d *Directory) User(name string) (*User, bool) { v, ok := d.users[name]; return v, ok }

// Credential returns the credential with that id.
func (d *Directory) Credential(id string) (*Credential, bool) {
	v, ok := d.credentials[id]
	return v, ok
}

// ByFingerprint returns the credential with that keyed fingerprint ("mt1:..."), in constant time.
func (d *Directory) ByFingerprint(fingerprint string) (*Credential, bool) {
	v, ok := d.byFingerprint[fingerprint]
	return v, ok
}

// ByGatewayKey returns the credential whose key id a trusted gateway named.
func (d *Directory) ByGatewayKey(key string) (*Credential, bool) {
	v, ok := d.byGatewayKey[key]
	return v, ok
}

// ByClaims returns the credential that the first matching claim names. The caller decides whether the claims are
// to be believed.
func (d *Directory) ByClaims(claims []*event.Attribute) (*Credential, bool) {
	if len(d.byClaim) == 0 {
		return nil, false
	}
	for _, c := range claims {
		if v, ok := d.byClaim[Claim{Name: c.GetKey(), Value: c.GetValue()}]; ok {
			return v, true
		}
	}
	return nil, false
}

// Sources returns where identity comes from.
func (d *Directory) Sources() *Sources { return &d.file.Sources }

// Ungoverned returns what a call gets that no policy governs: event.PolicyDecision_POLICY_DECISION_NO_POLICY
// unless the file says allow or deny.
func (d *Directory) Ungoverned() event.PolicyDecision {
	switch d.file.Ungoverned {
	case "allow":
		return event.PolicyDecision_POLICY_DECISION_ALLOW
	case "deny":
		return event.PolicyDecision_POLICY_DECISION_DENY
	default:
		return event.PolicyDecision_POLICY_DECISION_NO_POLICY
	}
}

// Teams returns all teams in file order.
func (d *Directory) Teams() []*Team { return slices.Clone(d.file.Teams) }

// Apps returns all apps in file order.
func (d *Directory) Apps() []*App { return slices.Clone(d.file.Apps) }

// Users returns all users in file order.
func (d *Directory) Users() []*User { return slices.Clone(d.file.Users) }

// Credentials returns all credentials in file order.
func (d *Directory) Credentials() []*Credential { return slices.Clone(d.file.Credentials) }

// Policies returns all policies in file order.
func (d *Directory) Policies() []*Policy { return slices.Clone(d.file.Policies) }
