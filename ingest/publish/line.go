package publish

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fate is where an item stands.
type fate uint8

const (
	waiting fate = iota
	sent
	failed // and to be sent again
	done
)

// item is one envelope in memory.
type item struct {
	record  *kgo.Record
	size    int64  // what it costs in memory, in bytes
	seq     uint64 // its place in the spool, 0 while it is in memory only
	how     Durability
	since   time.Time // when it came, or was read from the spool
	fate    fate
	alone   bool  // sent with nothing else under way
	tries   int   // how often it was too large
	err     error // why it failed
	settled chan error
}

// loose reports an item that could lie in the spool and does not.
func (it *item) loose() bool { return it.seq == 0 && it.how.Spooled() && it.fate != done }

// node is one place in the line: an item, or a run of records that are only in the spool.
type node struct {
	it          *item
	first, last uint64
}

// line is what waits to be sent, in order.
type line struct {
	nodes []node
	head  int
	runs  int
}

func (l *line) empty() bool { return l.head == len(l.nodes) }

func (l *line) front() *node {
	if l.empty() {
		return nil
	}
	return &l.nodes[l.head]
}

func (l *line) push(it *item) { l.nodes = append(l.nodes, node{it: it}) }

// pushRun puts the record seq of the spool at the end.
func (l *line) pushRun(first, last uint64) {
	if n := len(l.nodes); n > l.head && l.nodes[n-1].it == nil && l.nodes[n-1].last+1 == first {
		l.nodes[n-1].last = last
		return
	}
	l.nodes = append(l.nodes, node{first: first, last: last})
	l.runs++
}

func (l *line) pop() {
	if l.nodes[l.head].it == nil {
		l.runs--
	}
	l.nodes[l.head] = node{}
	if l.head++; l.head == len(l.nodes) {
		l.nodes, l.head = l.nodes[:0], 0
		if cap(l.nodes) > 4096 {
			l.nodes = nil
		}
	} else if l.head >= 1024 && l.head > len(l.nodes)/2 {
		n := copy(l.nodes, l.nodes[l.head:])
		clear(l.nodes[n:])
		l.nodes, l.head = l.nodes[:n], 0
	}
}

// each visits the items that are in memory.
func (l *line) each(visit func(*item)) {
	for _, n := range l.nodes[l.head:] {
		if n.it != nil {
			visit(n.it)
		}
	}
}

// flight is what was handed to the client, in order.
type flight struct {
	items []*item
	head  int
}

func (f *flight) empty() bool { return f.head == len(f.items) }

func (f *flight) front() *item { return f.items[f.head] }

func (f *flight) push(it *item) { f.items = append(f.items, it) }

func (f *flight) pop() {
	f.items[f.head] = nil
	if f.head++; f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
	} else if f.head >= 1024 && f.head > len(f.items)/2 {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
}
