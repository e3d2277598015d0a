package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
)

//go:embed clients/package.json
var clientPackage []byte

//go:embed clients/package-lock.json
var clientLock []byte

// SDKCall is one call of a provider's own client library; see clients/drive.mjs.
type SDKCall struct {
	Name       string            `json:"name"`
	SDK        string            `json:"sdk"` // openai or anthropic
	Op         string            `json:"op"`  // chat, responses, embeddings or messages
	BaseURL    string            `json:"base_url"`
	APIKey     string            `json:"api_key"`
	Headers    map[string]string `json:"headers,omitempty"`
	Body       map[string]any    `json:"body"`
	AbortAfter int               `json:"abort_after,omitempty"` // stream events after which the client leaves
}

// SDKResult is what the library made of the answer.
type SDKResult struct {
	Name    string         `json:"name"`
	OK      bool           `json:"ok"`
	Events  int            `json:"events"`
	Text    string         `json:"text"`
	Tools   []string       `json:"tools"`
	Usage   map[string]any `json:"usage"`
	Status  int            `json:"status"`
	Error   string         `json:"error"`
	Message string         `json:"message"`
}

// DriveSDKs runs calls one after the other through the providers' JavaScript client libraries, at most for two
// minutes. It fails the test when npm or node is missing: an untested client is no passed test.
func DriveSDKs(t testing.TB, calls []SDKCall) []SDKResult {
	t.Helper()
	folder := ClientsDir(t)
	input, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join(folder, "drive.mjs"))
	cmd.Dir, cmd.Stdin = folder, bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("drive the SDKs: %v\n%s", err, stderr.Bytes())
	}
	var results []SDKResult
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var r SDKResult
		if err := decoder.Decode(&r); err != nil {
			t.Fatalf("read what the SDKs did: %v\n%s", err, out)
		}
		results = append(results, r)
	}
	if len(results) != len(calls) {
		t.Fatalf("the SDKs made %d of %d calls: %s", len(results), len(calls), stderr.Bytes())
	}
	return results
}

// ClientsDir returns a cached copy of the folder clients with its packages installed from the lock file.
func ClientsDir(t testing.TB) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not on PATH: the end-to-end tests drive the providers' JavaScript SDKs; install Node.js 20 or later", program)
		}
	}
	folder, err := installClients()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func installClients() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	root, err := moduleDir()
	if err != nil {
		return "", err
	}
	source := filepath.Join(root, "cmd", "internal", "e2e", "clients")
	sum := sha256.Sum256(append(append([]byte{}, clientPackage...), clientLock...))
	folder := filepath.Join(cache, "e2e-clients-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("create client folder: %w", err)
	}
	unlock, err := engine.WaitLock(context.Background(), filepath.Join(folder, ".lock"))
	if err != nil {
		return "", fmt.Errorf("wait for another installation: %w", err)
	}
	defer unlock()
	for _, name := range []string{"drive.mjs", "package.json", "package-lock.json", ".npmrc"} {
		data, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("copy clients: %w", err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
			return "", fmt.Errorf("copy clients: %w", err)
		}
	}
	stamp := filepath.Join(folder, ".installed")
	if _, err := os.Stat(stamp); err == nil {
		return folder, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read install stamp: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier", "--loglevel=error")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci in %s: %w\n%s", folder, err, out)
	}
	return folder, os.WriteFile(stamp, nil, 0o644)
}
