// SPDX-License-Identifier: Apache-2.0

// Package deploy tests the configuration files for operators in this folder.
package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/catalogue"
)

// promtool runs Prometheus' promtool in a folder.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("promtool is missing: apt-get install prometheus")
		}
		t.Skip("promtool is missing: apt-get install prometheus")
	}
	cmd := exec.CommandContext(t.Context(), "promtool", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func TestPrometheusConfig(t *testing.T) {
	promtool(t, "prometheus", "check", "config", "prometheus.yml")
	// compose.yml expects the token in its own folder.
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("prometheus")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "gmpulse.token"), []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "config", "compose.yml")
}

func TestPrometheusRules(t *testing.T) { promtool(t, "prometheus", "test", "rules", "rules_test.yml") }

// Every alert has a promtool test that expects it to fire.
func TestEveryAlertHasATest(t *testing.T) {
	tests := read(t, "prometheus/rules_test.yml")
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(read(t, "prometheus/rules.yml"), -1) {
		if !strings.Contains(tests, "alertname: "+m[1]+"\n        exp_alerts:\n") {
			t.Errorf("alert %s has no test that expects it to fire", m[1])
		}
	}
}

// The metrics in rules and dashboards exist. A query for a name that does not exist is
// valid and returns nothing, so promtool does not find it.
func TestMetricsExist(t *testing.T) {
	known := published(t)
	for _, name := range regexp.MustCompile(`record: (\S+)`).FindAllStringSubmatch(read(t, "prometheus/rules.yml"), -1) {
		known[name[1]] = true
	}
	for _, file := range []string{"prometheus/rules.yml", "prometheus/rules_test.yml", "grafana/dashboard.json", "grafana/fleet.json"} {
		names := regexp.MustCompile(`\bgmpulse[_:][\w:]+`).FindAllString(read(t, file), -1)
		if len(names) < 20 {
			t.Errorf("%s: only %d names of metrics found", file, len(names))
		}
		for _, name := range names {
			if !known[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s: no metric and no label has the name %s", file, name)
			}
		}
	}
}

// Every metric that a rule or a dashboard queries is in the default set.
func TestMetricsAreSelected(t *testing.T) {
	selected := map[string]bool{}
	for _, m := range catalogue.All() {
		if (exporters.Selection{}).Match(m) {
			selected[prom.Name(m)] = true
		}
	}
	for _, file := range []string{"prometheus/rules.yml", "grafana/dashboard.json", "grafana/fleet.json"} {
		queries := 0
		for _, query := range regexp.MustCompile(`(?m)\bexpr"?: .*$`).FindAllString(read(t, file), -1) {
			for _, name := range regexp.MustCompile(`\bgmpulse_\w+`).FindAllString(query, -1) {
				queries++
				if !selected[strings.TrimSuffix(name, "_bucket")] {
					t.Errorf("%s queries %s, which is not published", file, name)
				}
			}
		}
		if queries < 1 || queries < 15 && file != "grafana/fleet.json" { // which queries what rules have recorded
			t.Errorf("%s: only %d names of metrics found", file, queries)
		}
	}
}

// The labels by which rules, dashboards and the command fleet group series exist. A label that does
// not exist is valid in a query and empty in its answer.
func TestLabelsExist(t *testing.T) {
	known := map[string]bool{"job": true, "instance": true, "le": true, "service_name": true, "service_version": true}
	for _, label := range regexp.MustCompile(`[{,](\w+)=`).FindAllStringSubmatch(read(t, "../../exporters/prom/testdata/names.golden"), -1) {
		known[label[1]] = true // of metrics with a fixed label
	}
	for _, m := range catalogue.All() {
		for _, key := range m.Keys {
			known[strings.ReplaceAll(key, ".", "_")] = true
		}
	}
	for _, file := range []string{"prometheus/rules.yml", "grafana/dashboard.json", "grafana/fleet.json", "../../cmd/gmpulse/fleetquery.go"} {
		lists := regexp.MustCompile(`\b(?:by|without|on) ?\(([\w%, ]+)\)`).FindAllStringSubmatch(read(t, file), -1)
		if len(lists) < 3 {
			t.Errorf("%s: only %d lists of labels found", file, len(lists))
		}
		for _, list := range lists {
			for label := range strings.SplitSeq(list[1], ",") {
				if label = strings.TrimSpace(label); label != "%s" && !known[label] {
					t.Errorf("%s: no metric has the label %s", file, label)
				}
			}
		}
	}
}

// published returns the names of all metrics, and of the labels that begin with gmpulse_.
func published(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for line := range strings.Lines(read(t, "../../exporters/prom/testdata/names.golden")) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, name := range regexp.MustCompile(`\bgmpulse_\w+`).FindAllString(line, -1) {
			known[name] = true
		}
	}
	if len(known) < 100 {
		t.Fatalf("names.golden has only %d names", len(known))
	}
	return known
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
