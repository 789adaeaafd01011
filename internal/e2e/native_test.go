// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// growingHistogram serves a histogram that grows with each of the first ten scrapes of /native. /classic
// serves it as text.
func growingHistogram(t *testing.T, e *prom.Exporter) http.Handler {
	t.Helper()
	h := runtimeinfo.Histogram{Bounds: make([]float64, 9), Sum: 1}
	for i := range h.Bounds {
		h.Bounds[i] = 16384e-9 * math.Pow(4, float64(i))
	}
	m := &runtimeinfo.Metric{Name: "job.duration", Unit: "s", Kind: runtimeinfo.KindHistogram, Help: "Duration of jobs."}
	var scrapes atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/native", func(w http.ResponseWriter, r *http.Request) {
		// One observation more in some buckets at each scrape, so that rounding could go wrong.
		n := min(scrapes.Add(1), 10)
		next := h
		next.Counts = []uint64{4000, 2000, 1000, 500, 250, 120, 60, 30, 15, 7}
		for i := range next.Counts {
			next.Counts[i] += uint64(n) * uint64(i+1)
		}
		if err := e.Export(r.Context(), runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: m, Histogram: &next})); err != nil {
			t.Error(err)
		}
		e.Handler().ServeHTTP(w, r)
	})
	mux.HandleFunc("/classic", func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Accept", "text/plain")
		e.Handler().ServeHTTP(w, r)
	})
	return mux
}

// A Prometheus that stores native histograms and one job that gets text agree about quantiles
// within the width of a native bucket, and the growing counts never look like a restart.
func TestPrometheusStoresNativeHistograms(t *testing.T) {
	t.Parallel()
	needPrometheus(t)
	e, err := prom.New(prom.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(growingHistogram(t, e))
	defer server.Close()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	const job = "- {job_name: %[1]s, metrics_path: /%[1]s, scrape_interval: 1s, static_configs: [{targets: [%[2]q]}]}\n"
	address := prometheus(t, t.TempDir(), "scrape_configs:\n"+fmt.Sprintf(job, "native", target.Host)+fmt.Sprintf(job, "classic", target.Host),
		"--enable-feature=native-histograms")
	wait := func(query string, want float64) {
		last := "no answer"
		eventually(t, query, func() bool {
			v, err := ask(t, address, query)
			last = fmt.Sprint(v, err)
			return err == nil && v == want
		}, &last)
	}
	const total = 7982 + 10*55
	wait(`histogram_count(gmpulse_job_duration_seconds{job="native"})`, total)
	wait(`gmpulse_job_duration_seconds_count{job="classic"}`, total)
	factor := math.Pow(2, 0.25)
	for _, q := range []float64{0.1, 0.5, 0.6, 0.75, 0.9, 0.95, 0.99, 0.999} {
		native, err1 := ask(t, address, fmt.Sprintf(`histogram_quantile(%v, gmpulse_job_duration_seconds{job="native"})`, q))
		classic, err2 := ask(t, address, fmt.Sprintf(`histogram_quantile(%v, gmpulse_job_duration_seconds_bucket{job="classic"})`, q))
		if err1 != nil || err2 != nil || native > classic*factor || native < classic/factor {
			t.Errorf("q%v is %v, with explicit buckets %v, want less than a factor of %.2f between them: %v %v", q, native, classic, factor, err1, err2)
		}
		t.Logf("q%v: native %.6g s, explicit %.6g s", q, native, classic)
	}
	// Had a bucket decreased, the increase would have counted all of the histogram again.
	const increase = `histogram_count(increase(gmpulse_job_duration_seconds{job="native"}[1m]))`
	if v, err := ask(t, address, increase); err != nil || v <= 0 || v > 1000 {
		t.Errorf("%s is %v: %v", increase, v, err)
	}
}
