package tap

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// acceptOnce serves one connection as a provider that says what its first read brought.
func acceptOnce(t *testing.T) (url string, first <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	brought, done := make(chan string, 1), make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		p := make([]byte, 64<<10)
		n, _ := conn.Read(p)
		brought <- string(p[:n])
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
	}()
	return "http://" + l.Addr().String(), brought
}

func TestAShortRequestReachesTheProviderInOnePiece(t *testing.T) {
	url, first := acceptOnce(t)
	b := newBench(t, benchOptions{upstream: url})
	body := strings.Repeat("q", gatherBytes)
	if response, got := post(t, newClient(t), b.url+"/openai/v1/chat/completions", body); response.StatusCode != http.StatusOK || got != answer {
		t.Fatalf("%d %q", response.StatusCode, got)
	}
	head, sent, _ := strings.Cut(<-first, "\r\n\r\n")
	if sent != body || !strings.Contains(head, fmt.Sprintf("\r\nContent-Length: %d\r\n", len(body))) {
		t.Errorf("the first read brought the head\n%s\nand %d of %d bytes", head, len(sent), len(body))
	}
	request, _ := b.pair()
	if request.Request.Payload.WireBytes != gatherBytes {
		t.Errorf("captured %v", request.Request.Payload)
	}
}

func TestACallerThatBreaksOffWithinAShortRequestAsksTheProviderNothing(t *testing.T) {
	url, first := acceptOnce(t)
	b := newBench(t, benchOptions{upstream: url})
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "POST /openai/v1/x HTTP/1.1\r\nHost: tap\r\nContent-Length: %d\r\n\r\n%s", len(question), question[:20]); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	request, end := b.pair()
	if end.Response.Outcome != event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT || end.Response.StatusCode != 0 || request.Request.Payload.WireBytes != 20 {
		t.Errorf("%v", end)
	}
	select {
	case got := <-first:
		t.Errorf("the provider got %q", got)
	default:
	}
}
