package faultproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); io.Copy(conn, conn) }()
		}
	}()
	return listener.Addr().String()
}

func proxied(t *testing.T) (*Proxy, func() net.Conn) {
	t.Helper()
	p, err := Listen("127.0.0.1:0", echo(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, func() net.Conn {
		conn, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

// roundTrip sends n bytes and reports how many came back and what ended it.
func roundTrip(conn net.Conn, n int, patience time.Duration) (int, error) {
	conn.SetDeadline(time.Now().Add(patience))
	go conn.Write(make([]byte, n))
	return io.ReadFull(conn, make([]byte, n))
}

func TestProxy_WithoutAFault_RelaysEverything(t *testing.T) {
	_, dial := proxied(t)
	if n, err := roundTrip(dial(), 1<<20, 10*time.Second); err != nil {
		t.Fatalf("%d bytes came back: %v", n, err)
	}
}

func TestProxy_EachMode_BreaksTheConnectionInItsWay(t *testing.T) {
	for _, mode := range Modes() {
		t.Run(string(mode), func(t *testing.T) {
			p, _ := proxied(t)
			p.Set(Fault{Mode: mode, Share: 1, Bytes: 1000})
			conn, err := net.Dial("tcp", p.Addr())
			if err != nil {
				if mode != Refuse {
					t.Fatal(err)
				}
				return
			}
			defer conn.Close()
			n, err := roundTrip(conn, 1<<20, 700*time.Millisecond)
			silent := errors.Is(err, os.ErrDeadlineExceeded)
			switch {
			case err == nil:
				t.Fatal("everything came back")
			case (mode == Silent || mode == Blackhole) && (n != 0 || !silent):
				t.Errorf("%d bytes came back: %v; want silence", n, err)
			case mode == Slow && (n == 0 || !silent):
				t.Errorf("%d bytes came back: %v; want a few", n, err)
			case mode == Cut && (n > 1000 || silent):
				t.Errorf("%d bytes came back: %v; want a reset within 1000", n, err)
			case mode == Refuse && (n != 0 || silent):
				t.Errorf("%d bytes came back: %v; want none", n, err)
			}
			if p.Hits()[mode] == 0 {
				t.Error("no connection was counted")
			}
		})
	}
}

func TestProxy_ASilentConnection_GoesOnWhenTheFaultEnds(t *testing.T) {
	p, dial := proxied(t)
	p.Set(Fault{Mode: Silent, Share: 1})
	conn := dial()
	time.AfterFunc(100*time.Millisecond, func() { p.Set(Fault{}) })
	if n, err := roundTrip(conn, 5000, 10*time.Second); err != nil {
		t.Fatalf("%d bytes came back: %v", n, err)
	}
}

func TestProxy_AnOpenConnection_IsHitByANewFault(t *testing.T) {
	p, dial := proxied(t)
	conn := dial()
	if _, err := roundTrip(conn, 100, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Set(Fault{Mode: Refuse, Share: 1})
	if _, err := roundTrip(conn, 100, 5*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the open connection lives on: %v", err)
	}
}
