package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/journal"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/manifest"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

// callers is how many calls run at a time.
const callers = 8

// Call makes the calls of the manifest's workload through its taps, each once. Lines "allow N" on control raise the
// number of calls that may be made. An answer that came completely, as the provider sent it, is written into the
// journal: phase 2, the tap as partition, the unix millisecond of its end as offset.
func Call(ctx context.Context, m *manifest.Manifest, control io.Reader, out io.Writer) error {
	answers, err := journal.Create(m.Path(m.Journal))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var allowed, failed atomic.Int64
	go func() {
		defer cancel()
		for lines := bufio.NewScanner(control); lines.Scan(); {
			if text, ok := strings.CutPrefix(lines.Text(), "allow "); ok {
				if n, err := strconv.ParseInt(text, 10, 64); err == nil {
					allowed.Store(n)
				}
			}
		}
	}()
	work, client := workload.New(m.Workload), &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	indexes := make(chan int)
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			for i := range indexes {
				tap := i % len(m.Taps)
				if !one(ctx, client, m.Taps[tap], work.Call(i)) {
					failed.Add(1)
					continue
				}
				if err := answers.Append(journal.Entry{Index: i, Phase: 2, Partition: int32(tap), Offset: time.Now().UnixMilli()}); err != nil { //nolint:gosec // few taps
					cancel()
				}
			}
		})
	}
	progress := func() {
		_ = answers.Flush()
		fmt.Fprintf(out, "acknowledged %d retried %d repeats 0\n", answers.Entries(), failed.Load())
	}
	told := time.Now()
	for i := range m.Workload.Calls {
		for int64(i) >= allowed.Load() && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		if ctx.Err() != nil {
			break
		}
		indexes <- i
		if time.Since(told) > time.Second {
			told = time.Now()
			progress()
		}
	}
	close(indexes)
	wait.Wait()
	progress()
	return errors.Join(answers.Close(), ctx.Err())
}

// one makes a call and reports whether the provider's answer came completely and unchanged.
func one(ctx context.Context, client *http.Client, tap string, c workload.Call) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, tap+"/"+c.Provider()+c.Path(), bytes.NewReader(c.RequestBody()))
	if err != nil {
		return false
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", workload.UserAgent)
	request.Header.Set(headerID, c.ID)
	if c.Caller.Secret != "" {
		request.Header.Set("Authorization", "Bearer "+c.Caller.Secret)
	}
	response, err := client.Do(request)
	if err != nil {
		time.Sleep(20 * time.Millisecond) // the tap is being started again
		return false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	want := http.StatusOK
	if c.Kind == workload.Limited {
		want = http.StatusTooManyRequests
	}
	return err == nil && response.StatusCode == want && bytes.Equal(body, c.ResponseBody()) && c.Kind != workload.Broken
}
