package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// caller makes calls through the tap of one node.
type caller struct {
	t    *testing.T
	node *Node
	http *http.Client
}

func newCaller(t *testing.T, n *Node) caller {
	return caller{t, n, &http.Client{Timeout: time.Minute}}
}

// answer is what a caller got.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call posts a body under a request id, by which its row is found. headers are name and value in turn.
func (c caller) call(path, id string, body io.Reader, headers ...string) answer {
	c.t.Helper()
	request, err := http.NewRequest(http.MethodPost, c.node.TapURL+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer sk-e2e-0123456789abcdef")
	request.Header.Set("X-Request-Id", id)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.http.Do(request)
	if err != nil {
		c.t.Fatalf("call %s: %v", id, err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Logf("read answer of %s: %v", id, err)
	}
	return answer{response.StatusCode, response.Header, got}
}

// good makes an ordinary call and fails the test unless it is answered.
func (c caller) good(id string) {
	c.t.Helper()
	if a := c.call("/openai/v1/chat/completions", id, strings.NewReader(goodBody)); a.status != http.StatusOK {
		c.t.Fatalf("good call %s: status %d: %s", id, a.status, a.body)
	}
}

// row waits for the call's row and returns the columns, tab separated.
func (c caller) row(id, columns string) string {
	c.t.Helper()
	c.node.WaitCount("calls", "request_id = '"+id+"'", 1)
	return c.node.Query("SELECT " + columns + " FROM calls WHERE request_id = '" + id + "'")
}

// oddProvider answers what the path says; everything else is the scripted provider. It keeps the digest of the last
// request body under each request id.
type oddProvider struct {
	next http.Handler
	mu   sync.Mutex
	seen map[string]string
}

func (p *oddProvider) digest(id string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[id]
}

func (p *oddProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	r.Body = io.NopCloser(&hashing{r.Body, sum})
	defer func() {
		_, _ = io.Copy(io.Discard, r.Body)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen[r.Header.Get("X-Request-Id")] = hex.EncodeToString(sum.Sum(nil))
	}()
	usage := func(text string) string {
		return `{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-5.5","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":` + text + `}`
	}
	send := func(kind, body string) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}
	switch r.Header.Get("X-Odd") {
	case "negative":
		send("application/json", usage(`{"prompt_tokens":-12,"completion_tokens":5,"total_tokens":-7}`))
	case "not a number":
		send("application/json", usage(`{"prompt_tokens":"many","completion_tokens":5.5,"total_tokens":null}`))
	case "accept":
		send("application/json", usage(`{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}`))
	case "truncated gzip":
		w.Header().Set("Content-Encoding", "gzip")
		whole := zipped(usage(`{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}`))
		send("application/json", string(whole[:len(whole)-12]))
	case "no gzip":
		w.Header().Set("Content-Encoding", "gzip")
		send("application/json", "this is not gzip")
	case "not json":
		send("application/json", "<html>it works</html>")
	case "binary":
		send("audio/mpeg", string([]byte{0xff, 0xfb, 0, 1, 2, 0xfe}))
	default:
		p.next.ServeHTTP(w, r)
	}
}

// hashing sums what is read.
type hashing struct {
	io.Reader
	sum hash.Hash
}

func (h *hashing) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	h.sum.Write(p[:n])
	return n, err
}

func zipped(text string) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return out.Bytes()
}
