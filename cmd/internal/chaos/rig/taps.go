package rig

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// excuse is how long before its kill a tap may have had an answer in memory only. Its worker yields to the calls, so on
// a busy machine that is more than an instant.
const excuse = time.Second

// fingerprintKey is the taps' key of a seed.
func fingerprintKey(seed uint64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "fingerprint key %d", seed))
	return hex.EncodeToString(sum[:])
}

// tapSection is what the configuration of a tap has beside the others'.
func (r *Run) tapSection(name string) string {
	return fmt.Sprintf(`tap:
  listen: %q
  instance: %s
  gateway: chaos
  durability: spool-first
  drain_timeout: 5s
  credential: {key_file: %q}
  routes:
    - {name: openai, prefix: /openai, upstream: %q, provider: openai}
    - {name: anthropic, prefix: /anthropic, upstream: %q, provider: anthropic}
`, r.tapAddress, name, filepath.Join(r.dir, "fingerprint.key"), r.upstream, r.upstream)
}

// startTaps starts the provider and the taps in front of it, and waits until they listen.
func (r *Run) startTaps(ctx context.Context) error {
	if r.opt.Taps == 0 {
		return nil
	}
	if err := os.WriteFile(filepath.Join(r.dir, "fingerprint.key"), []byte(r.opt.Workload.FingerprintKey+"\n"), 0o600); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	calls, err := json.Marshal(r.opt.Workload)
	if err != nil {
		return err
	}
	r.upstream = "http://" + address
	r.provider = newProcess("provider", filepath.Join(r.dir, "provider.log"), func() *exec.Cmd {
		return exec.Command(r.self, "provider", string(calls), address) //nolint:gosec // this very program
	})
	if err := r.provider.Start(); err != nil {
		return err
	}
	for i := range r.opt.Taps {
		if r.tapAddress, err = freeAddress(); err != nil {
			return err
		}
		tap, err := r.role(fmt.Sprintf("tap-%d", i), "tap", nil)
		if err != nil {
			return err
		}
		if err := tap.Start(); err != nil {
			return err
		}
		r.taps, r.tapURLs = append(r.taps, tap), append(r.tapURLs, "http://"+r.tapAddress)
		r.tapKills = append(r.tapKills, nil)
		if err := await(ctx, r.tapAddress); err != nil {
			return fmt.Errorf("tap-%d does not listen: %w\n%s", i, err, lastLines(tap.log, 5))
		}
	}
	return nil
}

// await waits until somebody listens.
func await(ctx context.Context, address string) error {
	var last error
	for range 300 {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return conn.Close()
		}
		last = err
		if !sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
	return last
}

// killTap kills a tap and notes when.
func (r *Run) killTap(n int) {
	at := time.Now().UnixMilli()
	if !r.taps[n].Kill() {
		return
	}
	r.mu.Lock()
	r.tapKills[n] = append(r.tapKills[n], at)
	r.mu.Unlock()
	r.killed("tap", "random", r.taps[n].Name)
}

// awaitFigures waits until the taps have told their last figures and the checker has compared them.
func (r *Run) awaitFigures(ctx context.Context) {
	if text, err := r.query("SELECT count() FROM system.tables WHERE database = 'modeltrail' AND name = 'v_source_completeness'", time.Minute); err != nil || text == "0" {
		return
	}
	for range 12 {
		text, err := r.query("SELECT sum(pending) + sum(missing) + sum(surplus) = 0 AND sum(stored) = (SELECT uniqExact(source_instance, source_epoch, source_sequence) FROM envelopes) FROM v_source_completeness WHERE source_kind = 'tap'", time.Minute)
		if err == nil && text == "1" || !sleep(ctx, 10*time.Second) {
			return
		}
	}
}
