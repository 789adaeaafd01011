// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// screen is the height of a screen in the units of Grafana's grid. A unit is 38 pixels high, with the gap.
const screen = 24

// dashboard is the part of a Grafana dashboard that the tests read.
type dashboard struct {
	UID        string
	Templating struct{ List []struct{ Name, Type string } }
	Panels     []panel
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct{ Expr, LegendFormat string }
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []struct{ Value float64 } }
			Links      []struct{ URL string }
		}
		Overrides []struct {
			Matcher    struct{ ID, Options string }
			Properties []struct{ ID string }
		}
	}
}

// dashboards calls f with each dashboard.
func dashboards(t *testing.T, f func(file string, d *dashboard)) {
	t.Helper()
	for _, file := range []string{"grafana/dashboard.json", "grafana/fleet.json"} {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, file)), &d); err != nil {
			t.Fatal(err)
		}
		f(file, &d)
	}
}

// Grafana can provision the dashboards. Each fits on a screen, and its panels do not overlap.
func TestDashboards(t *testing.T) {
	uid := map[string]string{"grafana/dashboard.json": "gmpulse", "grafana/fleet.json": "gmpulse-fleet"}
	dashboards(t, func(file string, d *dashboard) {
		if d.UID != uid[file] || d.Templating.List[0].Type != "datasource" {
			t.Errorf("%s: uid %q, first variable %+v", file, d.UID, d.Templating.List[0])
		}
		if len(d.Panels) == 0 || len(d.Panels) > 12 {
			t.Errorf("%s: %d panels, more than a person reads", file, len(d.Panels))
		}
		taken := map[[2]int]string{}
		for _, p := range d.Panels {
			if bottom := p.GridPos.Y + p.GridPos.H; bottom > screen {
				t.Errorf("%s: panel %q ends %d units below the top, and a screen has %d", file, p.Title, bottom, screen)
			}
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s: panel %q overlaps %q at column %d", file, p.Title, other, x)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	})
}

// A reader learns of each panel what it shows and in which unit, and comes from it to the live page of
// the instance, or to the dashboard "why?" of the services, the version or the instance.
func TestPanelsAreDescribedAndLinked(t *testing.T) {
	link := regexp.MustCompile(`^http://\$\{__(field\.labels|data\.fields)\.instance\}/debug/gmpulse/$|^/d/gmpulse\?(var-(service|instance)=\$|\$\{service:queryparam\})`)
	dashboards(t, func(file string, d *dashboard) {
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || len(p.Description) < 40 || p.FieldConfig.Defaults.Unit == "" {
				t.Errorf("%s: panel %q has id %d, which must be unique, unit %q and description %q", file, p.Title, p.ID, p.FieldConfig.Defaults.Unit, p.Description)
			}
			ids[p.ID] = true
			if len(p.FieldConfig.Defaults.Links) == 0 {
				t.Errorf("%s: panel %q has no link", file, p.Title)
			}
			for _, l := range p.FieldConfig.Defaults.Links {
				if !link.MatchString(l.URL) {
					t.Errorf("%s: panel %q links to %s", file, p.Title, l.URL)
				}
			}
		}
	})
}

// limited are metrics and those that limit them.
var limited = map[string][]string{
	"gmpulse_process_cpu_time_seconds_total": {"gmpulse_cpu_usable"},
	"gmpulse_process_memory_usage_bytes":     {"gmpulse_cgroup_memory_max_bytes", "gmpulse_memory_limit_bytes"},
	"gmpulse_process_unix_file_descriptors":  {"gmpulse_process_file_descriptor_limit"},
	"gmpulse_root_spans_ended_total":         {"gmpulse_capacity_limit_per_second"},
}

// unlimited are the panels whose values are neither good nor bad by themselves.
var unlimited = map[string]bool{
	"Goroutines": true, "Requests in flight, by root span": true,
	"Goroutines of an instance, by version": true, "Requests a second, by version": true,
}

// A panel shows the limit of what it shows: as a dashed line if the limit is a metric, else as a threshold.
func TestPanelsHaveLimits(t *testing.T) {
	found := 0
	dashboards(t, func(file string, d *dashboard) {
		for _, p := range d.Panels {
			lines := 0
			for metric, limits := range limited {
				if !p.queries(metric) {
					continue
				}
				for _, l := range limits {
					lines++
					if !p.dashed(l) {
						t.Errorf("%s: panel %q shows %s without a dashed line for %s", file, p.Title, metric, l)
					}
				}
			}
			found += lines
			has := lines > 0 || len(p.FieldConfig.Defaults.Thresholds.Steps) > 1
			if want := (p.Type == "timeseries" || p.Type == "stat") && !unlimited[p.Title]; has != want {
				t.Errorf("%s: panel %q has a limit: %v, want %v", file, p.Title, has, want)
			}
		}
	})
	if found != 5 {
		t.Errorf("%d limits of metrics found", found)
	}
}

func (p *panel) queries(metric string) bool {
	for _, q := range p.Targets {
		if strings.Contains(q.Expr, metric+"{") {
			return true
		}
	}
	return false
}

// dashed reports whether p shows a metric as a dashed line.
func (p *panel) dashed(metric string) bool {
	for _, q := range p.Targets {
		if !strings.HasPrefix(q.Expr, metric+"{") {
			continue
		}
		for _, o := range p.FieldConfig.Overrides {
			if o.Matcher.ID != "byRegexp" || !regexp.MustCompile("^"+o.Matcher.Options+"$").MatchString(strings.ReplaceAll(q.LegendFormat, "{{instance}}", "a:9464")) {
				continue
			}
			for _, property := range o.Properties {
				if property.ID == "custom.lineStyle" {
					return true
				}
			}
		}
	}
	return false
}

// A panel turns red where the rule alerts.
func TestThresholdsAreThoseOfRules(t *testing.T) {
	rules, found := read(t, "prometheus/rules.yml"), 0
	alerts := map[string]string{"Wait for a processor, p99": "GmpulseSchedulingLatency", "Busiest instance": "GmpulseNearSaturation"}
	dashboards(t, func(file string, d *dashboard) {
		for _, p := range d.Panels {
			alert, ok := alerts[p.Title]
			if !ok {
				continue
			}
			found++
			bound := regexp.MustCompile(`alert: ` + alert + `\n +expr: \S+ > ([\d.]+)`).FindStringSubmatch(rules)
			if bound == nil {
				t.Fatalf("no rule %s", alert)
			}
			steps := p.FieldConfig.Defaults.Thresholds.Steps
			if red := strconv.FormatFloat(steps[len(steps)-1].Value, 'f', -1, 64); red != bound[1] {
				t.Errorf("%s: panel %q turns red at %s, the rule alerts at %s", file, p.Title, red, bound[1])
			}
		}
	})
	if found != len(alerts) {
		t.Errorf("%d panels found, want %d", found, len(alerts))
	}
}
