package faultproxy

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Mode is what is done to a connection.
type Mode string

// The modes.
const (
	Pass      Mode = "pass"      // nothing
	Refuse    Mode = "refuse"    // closed as soon as it is accepted
	Cut       Mode = "cut"       // reset after a random number of bytes
	Slow      Mode = "slow"      // a few KiB a second
	Silent    Mode = "silent"    // accepted; nothing is ever relayed
	Blackhole Mode = "blackhole" // requests are relayed, answers are not
)

// Modes are the modes that break something.
func Modes() []Mode { return []Mode{Refuse, Cut, Slow, Silent, Blackhole} }

// Fault is how new and open connections are treated. The zero Fault passes all.
type Fault struct {
	Mode  Mode
	Share float64 // of the connections that are hit, 0 to 1
	Bytes int     // Cut: most bytes, both ways together, before the reset
}

// Proxy relays connections from its listener to a target. Its methods are safe for concurrent use.
type Proxy struct {
	target   string
	listener net.Listener

	mu    sync.Mutex
	rng   *rand.Rand
	fault Fault
	open  map[*link]struct{}
	hits  map[Mode]int
	done  bool
}

// Listen starts a proxy on a loopback address. The target need not exist yet.
func Listen(address, target string, seed uint64) (*Proxy, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for fault proxy: %w", err)
	}
	p := &Proxy{
		target: target, listener: listener, rng: rand.New(rand.NewPCG(seed, 7)), //nolint:gosec // repeatable on purpose
		open: map[*link]struct{}{}, hits: map[Mode]int{},
	}
	go p.accept()
	return p, nil
}

// Addr is the address that clients use.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set changes how connections are treated. Open connections are hit as well, each with the fault's share.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	for l := range p.open {
		l.set(p.draw())
	}
}

// draw decides for one connection. The lock is held.
func (p *Proxy) draw() (Mode, int) {
	f := p.fault
	if f.Mode == "" || f.Mode == Pass || p.rng.Float64() >= f.Share {
		return Pass, 0
	}
	p.hits[f.Mode]++
	return f.Mode, 1 + p.rng.IntN(max(f.Bytes, 1))
}

// Hits is how many connections met each mode.
func (p *Proxy) Hits() map[Mode]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[Mode]int{}
	for mode, n := range p.hits {
		out[mode] = n
	}
	return out
}

// Close ends the proxy and all its connections.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.done = true
	for l := range p.open {
		l.reset()
	}
	p.mu.Unlock()
	return p.listener.Close()
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors, for example
			continue
		}
		go p.serve(conn)
	}
}

func (p *Proxy) serve(conn net.Conn) {
	l := &link{client: conn, changed: make(chan struct{})}
	p.mu.Lock()
	if p.done {
		p.mu.Unlock()
		_ = conn.Close()
		return
	}
	l.set(p.draw())
	p.open[l] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.open, l)
		p.mu.Unlock()
		l.close(false)
	}()
	if mode, _ := l.now(); mode == Refuse {
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		l.reset() // nobody listens behind: the nearest to a refused connection
		return
	}
	if !l.join(server) {
		return
	}
	var wait sync.WaitGroup
	wait.Go(func() { l.relay(server, conn, true) })
	wait.Go(func() { l.relay(conn, server, false) })
	wait.Wait()
}

// link is one connection and its two ends.
type link struct {
	client net.Conn

	mu      sync.Mutex
	server  net.Conn
	mode    Mode
	left    int // Cut: bytes until the reset
	closed  bool
	changed chan struct{} // closed and replaced when the mode changes
}

func (l *link) set(mode Mode, left int) {
	l.mu.Lock()
	l.mode, l.left = mode, left
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	if mode == Refuse {
		l.reset()
	}
}

func (l *link) now() (Mode, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mode, l.changed
}

func (l *link) join(server net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = server.Close()
		return false
	}
	l.server = server
	return true
}

// reset closes both ends without a farewell.
func (l *link) reset() { l.close(true) }

func (l *link) close(abrupt bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.changed)
	l.changed = make(chan struct{})
	for _, conn := range []net.Conn{l.client, l.server} {
		if tcp, ok := conn.(*net.TCPConn); ok && abrupt {
			_ = tcp.SetLinger(0)
		}
		if conn != nil {
			_ = conn.Close()
		}
	}
}

func (l *link) gone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// slowBytes a turn of slowPause is what a slow connection relays.
const (
	slowBytes = 512
	slowPause = 100 * time.Millisecond
)

// relay copies one direction; request says that it is the client's.
func (l *link) relay(to, from net.Conn, request bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !l.pass(to, buffer[:n], request) {
			l.reset()
			return
		}
		if errors.Is(err, io.EOF) {
			if tcp, ok := to.(*net.TCPConn); ok {
				_ = tcp.CloseWrite() // what was relayed before still arrives
			}
			return
		}
		if err != nil {
			l.reset()
			return
		}
	}
}

// pass writes what one read gave. False: the connection is over.
func (l *link) pass(to net.Conn, data []byte, request bool) bool {
	for len(data) > 0 {
		part, ok := l.admit(len(data), request)
		if !ok {
			return false
		}
		if part > 0 {
			if _, err := to.Write(data[:part]); err != nil {
				return false
			}
			data = data[part:]
		}
	}
	return true
}

// admit says how many of n bytes may go now; 0 means to ask again. It waits as the mode demands. False ends the link.
func (l *link) admit(n int, request bool) (int, bool) {
	if l.gone() {
		return 0, false
	}
	mode, changed := l.now()
	switch {
	case mode == Silent, mode == Blackhole && !request:
		<-changed
		return 0, !l.gone()
	case mode == Slow:
		time.Sleep(slowPause)
		return min(n, slowBytes), true
	case mode == Cut:
		l.mu.Lock()
		defer l.mu.Unlock()
		part := min(n, l.left)
		l.left -= part
		return part, part > 0
	}
	return n, true
}
