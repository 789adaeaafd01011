// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Prometheus with the rules of examples/deploy scrapes the quick start. Every query of the
// dashboards is valid, and those whose metrics exist on this machine return values.
func TestDashboardQueriesReturnValues(t *testing.T) {
	t.Parallel()
	needPrometheus(t)
	const deploy = "../../examples/deploy"
	app := spawn(t, []string{"GMPULSE_LISTEN=127.0.0.1:0", "GMPULSE_HOST_INTERVAL=1s", "GOMEMLIMIT=1GiB"}, build(t, "./examples/quickstart"))
	rules, err := filepath.Abs(filepath.Join(deploy, "prometheus/rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	address := prometheus(t, t.TempDir(), fmt.Sprintf("global: {evaluation_interval: 1s}\nrule_files: [%q]\n", rules)+scrape("gmpulse", metrics(t, app).Host))
	// Rates need two scrapes after the first host pass.
	last := "no answer"
	eventually(t, "a rate of CPU time", func() bool {
		var n int
		n, last = answers(t, address, `rate(gmpulse_process_cpu_time_seconds_total[1m])`)
		return n > 0
	}, &last)

	queries := append(dashboardQueries(t, filepath.Join(deploy, "grafana/dashboard.json")), dashboardQueries(t, filepath.Join(deploy, "grafana/fleet.json"))...)
	if len(queries) < 30 {
		t.Fatalf("%d queries in the dashboards", len(queries))
	}
	var empty []string
	for _, q := range queries {
		last := "no answer"
		if !complete(t, address, q) {
			if _, last = answers(t, address, q); last != "" {
				t.Errorf("%s: %s", q, last)
			}
			empty = append(empty, q) // this machine lacks one of its metrics, such as a cgroup limit
			continue
		}
		eventually(t, q, func() bool {
			var n int
			n, last = answers(t, address, q)
			return n > 0
		}, &last)
	}
	t.Logf("%d queries; for metrics that are absent here:\n%s", len(queries), strings.Join(empty, "\n"))
	// This service has no leaks, no anomalies and few limits.
	if len(empty) > len(queries)/3 {
		t.Errorf("%d of %d queries return nothing", len(empty), len(queries))
	}
}

// dashboardQueries returns the queries of a dashboard with its variables replaced: the queries of
// its panels and the selectors of its variables.
func dashboardQueries(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels     []struct{ Targets []struct{ Expr string } }
		Templating struct{ List []struct{ Definition string } }
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*", "$service", ".*", "$version", ".*")
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[fill.Replace(target.Expr)] = true
		}
	}
	for _, v := range d.Templating.List {
		if m := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Definition); m != nil {
			all["count by ("+m[2]+") ("+fill.Replace(m[1])+")"] = true
		} else if v.Definition != "" {
			t.Errorf("%s: the definition of a variable is %s", file, v.Definition)
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// complete reports whether Prometheus has every metric of a query.
func complete(t *testing.T, address, query string) bool {
	t.Helper()
	for _, selector := range regexp.MustCompile(`gmpulse[_:][\w:]+\{[^}]*\}`).FindAllString(query, -1) {
		if n, _ := answers(t, address, selector); n == 0 {
			return false
		}
	}
	return true
}

// answers returns the number of values of a query, or a description of the error.
func answers(t *testing.T, address, query string) (n int, problem string) {
	t.Helper()
	code, body := get(t, "http://"+address+"/api/v1/query?query="+url.QueryEscape(query))
	var answer struct {
		Data struct{ Result []any }
	}
	if err := json.Unmarshal([]byte(body), &answer); code != http.StatusOK || err != nil {
		return 0, fmt.Sprintf("%d %s", code, body)
	}
	return len(answer.Data.Result), ""
}
