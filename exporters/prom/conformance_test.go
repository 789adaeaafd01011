// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"testing"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
)

func TestConformance(t *testing.T) {
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		return newExporter(t, whole())
	})
}

func TestPageHasEveryPointOfTheConformanceSnapshot(t *testing.T) {
	e := newExporter(t, whole())
	s := exporttest.Snapshot()
	export(t, e, s)
	want, got := samplesOfSnapshot(s), samplesOfPage(t, scrape(t, e, acceptText))
	for id, v := range want {
		if values := got[id]; len(values) != 1 || values[0] != v {
			t.Errorf("%s is %v, want once %v", id, values, v)
		}
	}
	if len(got) != len(want) || e.Skipped() != 0 {
		t.Errorf("%d samples, want %d; %d skipped", len(got), len(want), e.Skipped())
	}
}
