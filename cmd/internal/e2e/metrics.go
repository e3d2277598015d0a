package e2e

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Metric returns the sum of all samples of a metric.
func (n *Node) Metric(name string) float64 {
	n.t.Helper()
	response, err := (&http.Client{Timeout: 5 * time.Second}).Get(n.AdminURL + "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	sum := 0.0
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		sample, text, ok := strings.Cut(lines.Text(), " ")
		if family, _, _ := strings.Cut(sample, "{"); !ok || family != name {
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			n.t.Fatalf("read metric %s: %v", name, err)
		}
		sum += value
	}
	return sum
}
