// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// Prometheus stores the exemplars of the quick start. Each has the ids of a span, and its
// value is in its bucket.
func TestPrometheusStoresExemplars(t *testing.T) {
	t.Parallel()
	needPrometheus(t)
	app := spawn(t, []string{"GMPULSE_LISTEN=127.0.0.1:0", "GMPULSE_INTERVAL=200ms"}, build(t, "./examples/quickstart"))
	start := time.Now()
	address := prometheus(t, t.TempDir(), scrape("quickstart", metrics(t, app).Host), "--enable-feature=exemplar-storage")
	for _, query := range []string{"gmpulse_schedule_duration_seconds_bucket", "gmpulse_memory_allocated_bytes_total"} {
		last := "no answer"
		eventually(t, query, func() bool {
			var n int
			n, last = checkExemplars(t, address, query, start)
			return n >= 3
		}, &last)
	}
	if v, err := ask(t, address, `up{job="quickstart"}`); err != nil || v != 1 {
		t.Errorf("up is %v: %v", v, err)
	}
}

// checkExemplars checks the exemplars of a query and returns their number.
func checkExemplars(t *testing.T, address, query string, start time.Time) (n int, body string) {
	t.Helper()
	code, body := get(t, fmt.Sprintf("http://%s/api/v1/query_exemplars?query=%s&start=%d&end=%d",
		address, url.QueryEscape(query), start.Unix()-1, time.Now().Unix()+1))
	if code != http.StatusOK {
		return 0, body
	}
	var answer struct {
		Data []struct {
			SeriesLabels map[string]string
			Exemplars    []struct {
				Labels    map[string]string
				Value     string
				Timestamp float64
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	for _, series := range answer.Data {
		high := math.Inf(1)
		if le, ok := series.SeriesLabels["le"]; ok {
			high, _ = strconv.ParseFloat(le, 64)
		}
		for _, x := range series.Exemplars {
			n++
			v, err := strconv.ParseFloat(x.Value, 64)
			if err != nil || v <= 0 || v > high || len(x.Labels["trace_id"]) != 32 || len(x.Labels["span_id"]) != 16 || x.Labels["relation"] != "concurrent" {
				t.Errorf("%v: %+v", series.SeriesLabels, x)
			}
		}
	}
	return n, body
}
