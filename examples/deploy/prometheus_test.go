// SPDX-License-Identifier: Apache-2.0

// Package deploy tests the configuration files for operators in this folder.
package deploy

import (
	"encoding/json"
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

// Every metric that a rule queries is in the default set, and every one that the dashboard queries
// is in the set that the app in docker-compose.yml publishes.
func TestMetricsAreSelected(t *testing.T) {
	entries := regexp.MustCompile(`GMPULSE_METRICS: (\S+)`).FindStringSubmatch(read(t, "docker-compose.yml"))
	if entries == nil {
		t.Fatal("docker-compose.yml does not set GMPULSE_METRICS")
	}
	compose, err := exporters.NewSelection(entries[1])
	if err != nil {
		t.Fatal(err)
	}
	for file, selection := range map[string]exporters.Selection{"prometheus/rules.yml": {}, "grafana/dashboard.json": compose} {
		selected := map[string]bool{}
		for _, m := range catalogue.All() {
			if selection.Match(m) {
				selected[prom.Name(m)] = true
			}
		}
		queries := 0
		for _, query := range regexp.MustCompile(`(?m)\bexpr"?: .*$`).FindAllString(read(t, file), -1) {
			for _, name := range regexp.MustCompile(`\bgmpulse_\w+`).FindAllString(query, -1) {
				queries++
				if !selected[strings.TrimSuffix(name, "_bucket")] {
					t.Errorf("%s queries %s, which is not published", file, name)
				}
			}
		}
		if queries < 15 {
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

// dashboard is the part of a Grafana dashboard that the tests read.
type dashboard struct {
	UID        string
	Templating struct{ List []struct{ Name, Type string } }
	Panels     []struct {
		ID                       int
		Type, Title, Description string
		GridPos                  struct{ X, Y, W, H int }
		FieldConfig              struct{ Defaults struct{ Unit string } }
	}
}

// Grafana can provision the dashboards, their panels do not overlap, and a reader learns of each
// panel what it shows and in which unit.
func TestDashboards(t *testing.T) {
	for file, uid := range map[string]string{"grafana/dashboard.json": "gmpulse", "grafana/fleet.json": "gmpulse-fleet"} {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, file)), &d); err != nil {
			t.Fatal(err)
		}
		if d.UID != uid || d.Templating.List[0].Type != "datasource" {
			t.Errorf("%s: uid %q, first variable %+v", file, d.UID, d.Templating.List[0])
		}
		if len(d.Panels) == 0 || len(d.Panels) > 12 {
			t.Errorf("%s: %d panels, more than fit on one screen", file, len(d.Panels))
		}
		taken, ids := map[[2]int]string{}, map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || len(p.Description) < 40 || p.FieldConfig.Defaults.Unit == "" {
				t.Errorf("%s: panel %q has id %d, which must be unique, unit %q and description %q", file, p.Title, p.ID, p.FieldConfig.Defaults.Unit, p.Description)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s: panel %q overlaps %q at column %d", file, p.Title, other, x)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
