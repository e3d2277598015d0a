package judge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/manifest"
)

// database asks over plain HTTP and reads TabSeparated: no client library stands between the rows and the judge.
type database struct {
	m        *manifest.Manifest
	password string
	client   *http.Client
}

func openDatabase(m *manifest.Manifest) (*database, error) {
	password, err := os.ReadFile(m.Path(m.ClickHouse.PasswordFile))
	if err != nil {
		return nil, fmt.Errorf("read database password: %w", err)
	}
	return &database{m, strings.TrimSpace(string(password)), &http.Client{Timeout: 5 * time.Minute}}, nil
}

// errCorrupted means that the engine has rows that it cannot read: an answer, and a bad one.
var errCorrupted = errors.New("stored data cannot be read")

// corrupted are ClickHouse's codes of it.
var corrupted = map[string]bool{
	"33": true, "40": true, "226": true, "228": true, "246": true, "271": true, // CANNOT_READ_ALL_DATA to CANNOT_DECOMPRESS
}

// attempts is how often a question is asked; an engine that has just been killed needs a moment.
const attempts = 5

// rows returns the answer's lines, each cut at its tabs.
func (d *database) rows(ctx context.Context, query string) ([][]string, error) {
	var last error
	for n := range attempts {
		if n > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Duration(n) * time.Second):
			}
		}
		body, err := d.ask(ctx, query)
		if errors.Is(err, errCorrupted) {
			return nil, err
		}
		if err != nil {
			last = err
			continue
		}
		if len(body) == 0 {
			return nil, nil
		}
		lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
		out := make([][]string, len(lines))
		for i, line := range lines {
			out[i] = strings.Split(string(line), "\t")
		}
		return out, nil
	}
	return nil, fmt.Errorf("ask the database: %w", last)
}

func (d *database) ask(ctx context.Context, query string) ([]byte, error) {
	address := "http://" + d.m.ClickHouse.Addr + "/?" + url.Values{"database": {d.m.ClickHouse.Database}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(query))
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(d.m.ClickHouse.User, d.password)
	response, err := d.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		if code := response.Header.Get("X-ClickHouse-Exception-Code"); corrupted[code] {
			return nil, fmt.Errorf("%w: %.300s", errCorrupted, body)
		}
		return nil, fmt.Errorf("%s: %.300s", response.Status, body)
	}
	return body, nil
}
