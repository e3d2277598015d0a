package tap

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Proxy is the reverse proxy form. Close its idle connections with Close.
type Proxy struct {
	tap        *Tap
	transports map[*route]*http.Transport
	buffers    bufferPools
	quiet      *log.Logger
}

// NewProxy returns the reverse proxy over the routes of t's configuration. upstream, when not nil, is the TLS
// configuration toward providers, for example with a private authority.
func NewProxy(t *Tap, upstream *tls.Config) *Proxy {
	p := &Proxy{tap: t, transports: map[*route]*http.Transport{}, quiet: log.New(io.Discard, "", 0)}
	for _, r := range t.routes {
		p.transports[r] = newTransport(r, upstream)
	}
	return p
}

// newTransport neither adds an Accept-Encoding of its own nor decodes, so that bytes pass unchanged.
func newTransport(r *route, upstream *tls.Config) *http.Transport {
	dialer := &net.Dialer{Timeout: r.connect, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: upstream,
		ForceAttemptHTTP2: true, DisableCompression: true, MaxIdleConns: 512, MaxIdleConnsPerHost: 256,
		WriteBufferSize: 8 << 10, // a gathered request and its header
		IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: r.connect,
		ExpectContinueTimeout: time.Second, ResponseHeaderTimeout: r.response,
	}
}

// Close closes idle upstream connections.
func (p *Proxy) Close() {
	for _, t := range p.transports {
		t.CloseIdleConnections()
	}
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rt := byPath(p.tap.routes, r.URL.Path)
	if rt == nil {
		p.tap.metrics.unrouted.Inc()
		refuse(w, http.StatusNotFound, "no_route", "No route of the proxy matches this path.", "")
		return
	}
	if p.tap.refuses(rt) {
		refuseUnaudited(w)
		return
	}
	if r.ProtoMajor == 1 {
		// A provider may answer before it has read the request; without this the rest of the body breaks the call.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	x := &exchange{call: p.tap.begin(r, rt), in: r, next: p.transports[rt], buffers: &relayBuffers{pools: &p.buffers}}
	x.call.host, x.call.path = rt.upstream.Host, rt.target(r.URL)
	in := r
	var sent *requestBody
	if r.ContentLength != 0 && r.Body != nil {
		sent = x.call.tee(r.Body, r.ContentLength)
		if r.Header.Get("Expect") == "" { // a caller that asks first has not sent it
			x.unsent = sent
		}
		in = withBody(r, sent)
	} else {
		x.call.requestDone()
	}
	defer x.end() // also when the answer breaks off and the server is told to abort
	if err := x.gather(); err != nil {
		x.fail(w, r, err)
		return
	}
	proxy := httputil.ReverseProxy{
		Rewrite: x.rewrite, Transport: x, ErrorHandler: x.fail, BufferPool: x.buffers, ErrorLog: p.quiet,
	}
	proxy.ServeHTTP(w, in)
	x.returned = true
	if sent != nil && !sent.over.Load() && r.ProtoMajor == 1 && !x.upgraded {
		x.end()
		linger(w, r)
	}
}

// Bounds of linger.
const (
	lingerTime  = 250 * time.Millisecond
	lingerBytes = 16 << 20
)

// linger reads on for a moment after a provider answered without reading the whole request. Closing at once would
// reset the connection under a client that still sends, and the client would lose the answer.
func linger(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	if rc.Flush() != nil || rc.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, lingerBytes)
}

// exchange is one call on its way through the reverse proxy.
type exchange struct {
	call     *call
	in       *http.Request
	next     http.RoundTripper
	buffers  *relayBuffers
	unsent   *requestBody // may be read when no connection was had; nil where it may not
	whole    []byte       // a request that was gathered; nil for others
	answer   *answerBody
	trailer  *http.Header
	err      error // no response head came
	upgraded bool
	returned bool // the proxy did not abort
}

// rewrite directs the call upstream and changes nothing else.
func (x *exchange) rewrite(pr *httputil.ProxyRequest) {
	rt := x.call.route
	u := pr.Out.URL
	u.Scheme, u.Host, u.RawQuery = rt.upstream.Scheme, rt.upstream.Host, pr.In.URL.RawQuery
	escaped := rt.target(pr.In.URL)
	if plain, err := url.PathUnescape(escaped); err == nil {
		u.Path, u.RawPath = plain, escaped
	}
	pr.Out.Host = ""
	for _, name := range [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := pr.In.Header[name]; ok {
			pr.Out.Header[name] = v
		}
	}
	rt.rewriteHeaders(pr.Out.Header)
}

// RoundTrip implements http.RoundTripper between the reverse proxy and the transport.
func (x *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := x.next.RoundTrip(x.outgoing(r))
	if err != nil {
		x.unsent.readUnsent()
		x.err = err
		return nil, err
	}
	x.call.head(response.StatusCode, response.Header)
	x.trailer = &response.Trailer
	if response.StatusCode == http.StatusSwitchingProtocols {
		x.upgraded = true // its body must stay readable and writable
		return response, nil
	}
	x.buffers.length = response.ContentLength
	x.answer = &answerBody{body: response.Body, call: x.call}
	response.Body = x.answer
	return response, nil
}

// fail answers a call that got no response head.
func (x *exchange) fail(w http.ResponseWriter, r *http.Request, err error) {
	x.err = err
	class := classify(err)
	switch {
	case x.in.Context().Err() != nil:
		w.WriteHeader(499) // nobody listens; the number is for intermediaries
	case class == classTimeout && !dialing(err):
		refuse(w, http.StatusGatewayTimeout, "upstream_timeout", "The provider did not answer in time.", class)
	default:
		refuse(w, http.StatusBadGateway, "upstream_unreachable", "The proxy could not reach the provider.", class)
	}
}

func (x *exchange) end() {
	outcome, class := x.outcome()
	var trailer http.Header
	if x.trailer != nil {
		trailer = *x.trailer
	}
	x.call.end(outcome, class, trailer)
}

func (x *exchange) outcome() (event.StreamOutcome, string) {
	switch {
	case x.upgraded && x.err == nil:
		return event.StreamOutcome_STREAM_OUTCOME_COMPLETE, ""
	case x.answer == nil:
		return unanswered(x.in, x.err), classify(x.err)
	}
	outcome, class := x.answer.outcome(x.in)
	if outcome == event.StreamOutcome_STREAM_OUTCOME_COMPLETE && !x.returned {
		return event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT, "" // the last bytes could not be written
	}
	return outcome, class
}

// refuse writes an error body that the clients of OpenAI, Anthropic and Google alike read as an error.
func refuse(w http.ResponseWriter, status int, code, message, class string) {
	type detail struct {
		Type    string `json:"type"`
		Code    string `json:"code"`
		Message string `json:"message"`
		Class   string `json:"class,omitempty"`
	}
	body, err := json.Marshal(struct {
		Type  string `json:"type"`
		Error detail `json:"error"`
	}{"error", detail{code, code, message, class}})
	if err != nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Modeltrail-Error", code)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// Sizes of one read of an answer. net/http copies with 32 KiB.
const (
	relayBytes     = 16 << 10 // of a short answer, and of one of unknown length: thousands of open streams hold one each
	relayLongBytes = 64 << 10 // of a longer one, which is over soon: every read costs two system calls
)

// mostLong bounds the long buffers in use: when more long answers come at once than the machine relays, the pieces are
// short, and so is the memory.
const mostLong = 64

// bufferPools keep buffers between calls.
type bufferPools struct {
	short, long sync.Pool
	longs       atomic.Int32 // in use
}

// relayBuffers lends one call's answer the buffer through which it is copied. It implements httputil.BufferPool.
type relayBuffers struct {
	pools  *bufferPools
	length int64 // of the answer; -1 unknown
}

// Get implements httputil.BufferPool.
func (b *relayBuffers) Get() []byte {
	if b.length > relayBytes && b.pools.takeLong() {
		if p, ok := b.pools.long.Get().(*[relayLongBytes]byte); ok {
			return p[:]
		}
		return make([]byte, relayLongBytes)
	}
	if p, ok := b.pools.short.Get().(*[relayBytes]byte); ok {
		return p[:]
	}
	return make([]byte, relayBytes)
}

func (p *bufferPools) takeLong() bool {
	if p.longs.Add(1) <= mostLong {
		return true
	}
	p.longs.Add(-1)
	return false
}

// Put implements httputil.BufferPool.
func (b *relayBuffers) Put(p []byte) {
	switch cap(p) {
	case relayLongBytes:
		b.pools.longs.Add(-1)
		b.pools.long.Put((*[relayLongBytes]byte)(p[:relayLongBytes]))
	case relayBytes:
		b.pools.short.Put((*[relayBytes]byte)(p[:relayBytes]))
	}
}

// NewServer returns an HTTP server for handler that speaks HTTP/1.1 and HTTP/2, the latter also without TLS. The
// caller sets the address or listener. It has no write timeout: answers stream for minutes.
func NewServer(base context.Context, handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: handler, Protocols: protocols, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 256 << 10, BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog: log.New(io.Discard, "", 0),
	}
}
