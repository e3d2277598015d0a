package directory

import (
	"slices"

	"github.com/modeltrail/modeltrail/schemas/internal/strictyaml"
)

// Names of identity sources, in Sources.Order and in Identity.source.
const (
	SourceCredential = "credential"
	SourceJWT        = "jwt"
	SourceHeader     = "header"
	SourceNone       = "none"
)

// Sources says where identity comes from and in which order. An earlier source wins; a later one only fills what
// is still unknown.
type Sources struct {
	Order   []string       `json:"order"`
	JWT     JWTSource      `json:"jwt"`
	Headers []HeaderSource `json:"headers"`
}

// Mapping names the claims or headers to read, each list in order of preference, and translates foreign names.
type Mapping struct {
	Principal []string          `json:"principal"`
	Team      []string          `json:"team"`
	App       []string          `json:"app"`
	Teams     map[string]string `json:"teams"` // value found -> team id
	Apps      map[string]string `json:"apps"`  // value found -> app id
}

// JWTSource reads the claims that the tap took from the caller's token.
type JWTSource struct {
	Mapping
	AllowUnverified bool `json:"allow_unverified"` // believe claims whose signature nobody checked
}

// HeaderSource reads headers that a gateway sets. They are believed only on calls from the named gateways or
// routes, because a caller could send the same headers.
type HeaderSource struct {
	Mapping
	Gateways   []string `json:"gateways"`
	Routes     []string `json:"routes"`
	Credential []string `json:"credential"` // header that carries the gateway's id of the key
}

// Trusts reports whether headers of a call from that gateway and route are believed.
func (h *HeaderSource) Trusts(gateway, route string) bool {
	if len(h.Gateways) > 0 && !slices.Contains(h.Gateways, gateway) {
		return false
	}
	return len(h.Routes) == 0 || slices.Contains(h.Routes, route)
}

func (p *parsing) sources(n strictyaml.Node) Sources {
	m := n.Map("order", "jwt", "headers")
	s := Sources{Order: []string{SourceCredential, SourceJWT, SourceHeader}}
	if order := m.Get("order"); order.Present() {
		s.Order = order.Texts()
		for i, name := range s.Order {
			if name != SourceCredential && name != SourceJWT && name != SourceHeader {
				order.Fault("%q is not a source; use credential, jwt and header", name)
			}
			if slices.Contains(s.Order[:i], name) {
				order.Fault("%q stands twice; remove one", name)
			}
		}
	}
	if jwt := m.Get("jwt"); jwt.Present() {
		j := jwt.Map("principal", "team", "app", "teams", "apps", "allow_unverified")
		s.JWT = JWTSource{Mapping: p.mapping(j, false), AllowUnverified: j.Get("allow_unverified").Bool()}
	} else {
		s.JWT.Principal = []string{"email", "sub"}
	}
	for _, item := range m.Get("headers").Items() {
		s.Headers = append(s.Headers, p.headerSource(item))
	}
	return s
}

func (p *parsing) headerSource(n strictyaml.Node) HeaderSource {
	m := n.Map("gateways", "routes", "principal", "team", "app", "teams", "apps", "credential")
	h := HeaderSource{
		Mapping:    p.mapping(m, true),
		Gateways:   m.Get("gateways").Texts(),
		Routes:     m.Get("routes").Texts(),
		Credential: headerNames(m.Get("credential")),
	}
	if len(h.Gateways) == 0 && len(h.Routes) == 0 {
		n.Fault("names neither gateways nor routes; a header is believed only from a named gateway or route")
	}
	if len(h.Principal)+len(h.Team)+len(h.App)+len(h.Credential) == 0 {
		n.Fault("reads no header; name one under principal, team, app or credential")
	}
	return h
}

func (p *parsing) mapping(m strictyaml.Map, headers bool) Mapping {
	names := strictyaml.Node.Texts
	if headers {
		names = headerNames
	}
	out := Mapping{Principal: names(m.Get("principal")), Team: names(m.Get("team")), App: names(m.Get("app"))}
	for _, e := range m.Get("teams").Entries() {
		if out.Teams == nil {
			out.Teams = map[string]string{}
		}
		out.Teams[e.Key] = p.reference(e.Value, "team")
	}
	for _, e := range m.Get("apps").Entries() {
		if out.Apps == nil {
			out.Apps = map[string]string{}
		}
		out.Apps[e.Key] = p.reference(e.Value, "app")
	}
	return out
}

// headerNames reads header names; envelopes carry them in lower case.
func headerNames(n strictyaml.Node) []string {
	names := n.Texts()
	for _, name := range names {
		for i := range len(name) {
			if c := name[i]; c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				n.Fault("%q is not a header name in lower case", name)
				break
			}
		}
	}
	return names
}
