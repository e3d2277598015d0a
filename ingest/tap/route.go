package tap

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// route is a Route made ready.
type route struct {
	name, provider, dialect string
	prefix                  string // without trailing slash; "" matches every path
	upstream                *url.URL
	base                    string // escaped path of upstream without trailing slash
	strip                   bool
	mode                    event.CaptureMode
	maxBody                 int64
	set                     []setHeader
	remove                  []string // canonical
	connect, response       time.Duration
	durability              publish.Durability
	closed                  bool // calls are refused while their envelopes cannot be kept
}

type setHeader struct{ name, value string }

func newRoutes(cfg Config) ([]*route, error) {
	routes := make([]*route, 0, len(cfg.Routes))
	for _, r := range cfg.Routes {
		made, err := newRoute(cfg, r)
		if err != nil {
			return nil, err
		}
		routes = append(routes, made)
	}
	slices.SortStableFunc(routes, func(a, b *route) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	return routes, nil
}

func newRoute(cfg Config, r Route) (*route, error) {
	u, err := url.Parse(r.Upstream)
	if err != nil {
		return nil, fmt.Errorf("parse upstream of route %s: %w", r.Prefix, err)
	}
	made := &route{
		name: cmp.Or(r.Name, strings.Trim(r.Prefix, "/"), "root"), provider: r.Provider, dialect: r.Dialect,
		prefix: strings.TrimRight(r.Prefix, "/"), upstream: u, base: strings.TrimRight(u.EscapedPath(), "/"),
		strip: r.StripPrefix == nil || *r.StripPrefix,
		mode:  captureModes[cmp.Or(r.Capture, cfg.Capture)], maxBody: int64(cmp.Or(r.MaxBodyBytes, cfg.MaxBodyBytes)),
		connect: cmp.Or(r.ConnectTimeout, cfg.ConnectTimeout), response: r.ResponseTimeout,
	}
	if made.durability, err = publish.ParseDurability(cmp.Or(r.Durability, cfg.Durability)); err != nil {
		return nil, fmt.Errorf("durability of route %s: %w", r.Prefix, err)
	}
	made.closed = cmp.Or(r.OnAuditFailure, cfg.OnAuditFailure) == auditClosed
	for _, h := range r.SetHeaders {
		if !h.Secret.IsZero() {
			made.remove = append(made.remove, credentialHeaders...)
		}
		made.set = append(made.set, setHeader{http.CanonicalHeaderKey(h.Name), h.Value + h.Secret.Value()})
	}
	for _, name := range r.RemoveHeaders {
		made.remove = append(made.remove, http.CanonicalHeaderKey(name))
	}
	return made, nil
}

// defaultRoute describes calls that no configured route names.
func defaultRoute(cfg Config) *route {
	durability, _ := publish.ParseDurability(cfg.Durability) // validated
	return &route{
		name: "default", mode: captureModes[cfg.Capture], maxBody: int64(cfg.MaxBodyBytes),
		durability: durability, closed: cfg.OnAuditFailure == auditClosed,
	}
}

// below reports whether path is prefix or lies below it, at whole segments.
func below(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// byPath finds the route of a call that arrives, nil for none.
func byPath(routes []*route, path string) *route {
	for _, r := range routes {
		if below(path, r.prefix) {
			return r
		}
	}
	return nil
}

// byUpstream finds the route of a call that leaves, nil for none.
func byUpstream(routes []*route, target *url.URL) *route {
	for _, r := range routes {
		if strings.EqualFold(r.upstream.Host, target.Host) && below(target.Path, strings.TrimRight(r.upstream.Path, "/")) {
			return r
		}
	}
	return nil
}

// target returns the escaped path that goes upstream, byte for byte as the caller wrote it behind the prefix.
func (r *route) target(in *url.URL) string {
	path := in.EscapedPath()
	if r.strip {
		path = strings.TrimPrefix(path, r.prefix)
	}
	if path == "" && r.base == "" {
		return "/"
	}
	return r.base + path
}

// rewriteHeaders applies the route's headers. Headers for the tap itself stay here.
func (r *route) rewriteHeaders(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "X-Modeltrail-") {
			delete(h, name)
		}
	}
	for _, name := range r.remove {
		delete(h, name)
	}
	for _, s := range r.set {
		h[s.name] = []string{s.value}
	}
}
