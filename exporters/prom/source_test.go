// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// TestSourceNamesNoMetric checks that adding a metric needs no change in this package.
func TestSourceNamesNoMetric(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range catalogue.All() {
			for _, name := range []string{m.Name, prom.Name(m)} {
				if strings.Contains(string(source), name) {
					t.Errorf("%s mentions %s", file, name)
				}
			}
		}
	}
}

// TestEveryMetricOfTheCatalogueIsServed checks that none conflicts with another.
func TestEveryMetricOfTheCatalogueIsServed(t *testing.T) {
	all := catalogue.All()
	points := make([]runtimeinfo.Point, len(all))
	for i, m := range all {
		points[i] = runtimeinfo.Point{Metric: m, Labels: make([]string, len(m.Keys)), Number: 1}
		if m.Kind == runtimeinfo.KindHistogram {
			points[i].Histogram = &runtimeinfo.Histogram{Counts: []uint64{1}}
		}
	}
	e := newExporter(t, whole())
	export(t, e, runtimeinfo.NewSnapshot(points...))
	got := 0
	for _, f := range parse(t, oursOnly(scrape(t, e, acceptText))) {
		got += len(f.GetMetric())
	}
	if got != len(all) || e.Skipped() != 0 {
		t.Errorf("%d of %d metrics served, %d skipped", got, len(all), e.Skipped())
	}
}
