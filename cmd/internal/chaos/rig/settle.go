package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// consumers are the groups and the topics that they read, in the order of the data.
var consumers = []struct{ group, topic string }{
	{"modeltrail.store", event.TopicEnvelopes}, {"modeltrail.enrich", event.TopicEnvelopes},
	{"modeltrail.detect", event.TopicEvents}, {"modeltrail.findings", event.TopicFindings},
}

// settle waits until every record is acknowledged and every group has read its topic to the end. False: it did not
// come to rest in time, which the judge will show.
func (r *Run) settle(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opt.Settle)
	defer cancel()
	select {
	case err := <-r.produced:
		if err != nil {
			return false, fmt.Errorf("the producer failed: %w\n%s", err, lastLines(filepath.Join(r.dir, "producer.log"), 10))
		}
	case <-ctx.Done():
		return false, fmt.Errorf("the producer's records were not acknowledged within %s", r.opt.Settle)
	}
	began := time.Now()
	quiet, told := 0, time.Now()
	for quiet < 3 { // a record may be under way between two groups
		if !sleep(ctx, 300*time.Millisecond) {
			r.report.note("not everything was read within %s: lag %s", r.opt.Settle, r.lag())
			return false, nil
		}
		if lag := r.lag(); lag != (lags{}) {
			quiet = 0
		} else {
			quiet++
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			r.tell()
		}
	}
	if len(r.taps) > 0 {
		r.awaitFigures(ctx)
	}
	r.say("settled %.1f s after the last acknowledgement", time.Since(began).Seconds())
	return true, nil
}

// lags is how many records each group has not finished; -1 where it could not be asked.
type lags [4]int64

// String implements fmt.Stringer.
func (l lags) String() string {
	return fmt.Sprintf("store %d, enrich %d, detect %d, findings %d", l[0], l[1], l[2], l[3])
}

func (r *Run) lag() lags {
	unknown := lags{-1, -1, -1, -1}
	client, err := r.broker.client()
	if err != nil {
		return unknown
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	admin := kadm.NewClient(client)
	out := lags{}
	for i, c := range consumers {
		ends, err := admin.ListEndOffsets(ctx, c.topic)
		if err != nil {
			return unknown
		}
		committed, err := admin.FetchOffsets(ctx, c.group)
		if err != nil { // of a role that never ran, for example
			out[i] = -1
			continue
		}
		ends.Each(func(end kadm.ListedOffset) {
			at := int64(0)
			if o, ok := committed.Lookup(c.topic, end.Partition); ok && o.At > 0 {
				at = o.At
			}
			out[i] += max(end.Offset-at, 0)
		})
	}
	return out
}

// rows is the number of rows in envelopes, -1 while the engine does not answer.
func (r *Run) rows() int64 {
	text, err := r.query("SELECT count() FROM envelopes", 3*time.Second)
	if err != nil {
		return -1
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// query asks the engine, around the proxy.
func (r *Run) query(statement string, patience time.Duration) (string, error) {
	password, err := os.ReadFile(r.database.passwordFile())
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	address := "http://" + r.database.engine.HTTPAddr() + "/?" + url.Values{"database": {"modeltrail"}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	request.SetBasicAuth("modeltrail", strings.TrimSpace(string(password)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %.200s", response.Status, body)
	}
	return strings.TrimSpace(string(body)), nil
}
