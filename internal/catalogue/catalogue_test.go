// SPDX-License-Identifier: Apache-2.0

package catalogue_test

import (
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func keys(metrics []*runtimeinfo.Metric) (all []string) {
	for _, m := range metrics {
		all = append(all, m.Key())
	}
	return all
}

// All returns the metrics of an agent in the same order.
func TestAllEqualsTheMetricsOfAnAgent(t *testing.T) {
	a, err := agent.Start(agent.WithListen("off"), agent.WithEvidence(&evidence.Config{}), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	for a.Snapshot() == nil {
		time.Sleep(time.Millisecond)
	}
	if got, want := keys(a.Snapshot().Metrics()), keys(catalogue.All()); !slices.Equal(got, want) {
		t.Errorf("the agent publishes\n%v\nAll returns\n%v", got, want)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNamesDoNotClash(t *testing.T) {
	if _, err := runtimeinfo.NewCatalogue(catalogue.All()...); err != nil {
		t.Error(err)
	}
}

func TestMetricsOfANameOrSubsystemAreAdjacent(t *testing.T) {
	for what, group := range map[string]func(*runtimeinfo.Metric) string{
		"name":      func(m *runtimeinfo.Metric) string { return m.Name },
		"subsystem": func(m *runtimeinfo.Metric) string { return string(m.Subsystem) },
	} {
		ended, last := map[string]bool{}, ""
		for _, m := range catalogue.All() {
			g := group(m)
			if g != last {
				ended[last] = true
			}
			if ended[g] {
				t.Errorf("%s: metrics of the same %s must be adjacent", m.Key(), what)
			}
			last = g
		}
	}
}

func TestDescriptionsAreComplete(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9]*([._][a-z0-9]+)*$`)
	unit := regexp.MustCompile(`^(s|By|1|%|\{[a-z_]+\}(/s)?)?$`)
	for _, m := range catalogue.All() {
		if !name.MatchString(m.Name) || !unit.MatchString(m.Unit) || m.Kind.String() == "unknown" || m.Subsystem == "" {
			t.Errorf("%+v", m)
		}
		if !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s: help is not a sentence: %q", m.Key(), m.Help)
		}
	}
}
