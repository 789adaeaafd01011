// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// seriesOfAnAgent returns the number of series that Prometheus stores of an agent with three
// exporters, like the quick start's, in a process without spans. Metrics of the default set that
// are absent at the moment or on this machine, such as the limits of a container, count too.
func seriesOfAnAgent(tb testing.TB) float64 {
	tb.Helper()
	a, err := agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithLogger(slog.New(slog.DiscardHandler)),
		agent.WithExporter("another", exporters.Log(slog.New(slog.DiscardHandler))))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		if err := a.Stop(tb.Context()); err != nil {
			tb.Error(err)
		}
	}()
	var page string
	testutil.Eventually(tb, "a page with groups of goroutines and anomalies", func() bool {
		page = body(tb, a.URL()+"metrics")
		return strings.Contains(page, "\ngmpulse_goroutine_group_goroutines{") && strings.Contains(page, "\ngmpulse_anomaly{")
	})
	n, present := 0, map[string]bool{}
	for line := range strings.Lines(page) {
		name, _, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, "{")
		present[name] = true
		if !strings.HasPrefix(line, "#") {
			n++
		}
	}
	for _, m := range catalogue.All() {
		// Without labels: the metrics of the spool exist with Fluentd only.
		if (exporters.Selection{}).Match(m) && m.Keys == nil && m.Kind != runtimeinfo.KindHistogram && !present[prom.Name(m)] {
			n++
		}
	}
	if !strings.Contains(page, `gmpulse_exporter_dropped_total{exporter="another"`) {
		tb.Errorf("the third exporter is missing in\n%s", page)
	}
	if !strings.Contains(page, `gmpulse_exporter_up{exporter="another"}`) {
		n++ // absent before its first interval has passed
	}
	return float64(n)
}

func body(tb testing.TB, url string) string {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}
