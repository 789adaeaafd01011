// SPDX-License-Identifier: Apache-2.0

package baseline_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

// New logs ceilings that no signal can have. Judge logs a ceiling of a root span that does not
// occur within an hour, once.
func TestUnusedCeilingsAreLogged(t *testing.T) {
	var log strings.Builder
	w, err := baseline.New(baseline.Config{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Ceilings: map[string]float64{
			"goroutines": 1e6, "mine": 1, "gorutines": 1, "root_span.p95 GET /cart": 1, "root_span.p99": 1, "root_span.p99 ": 1,
			"root_span.p99 GET /cart": 1, "root_span.active GET /crat": 1,
		},
		Signals: []baseline.Signal{{Metric: "mine"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := func(names ...string) {
		t.Helper()
		if n := strings.Count(log.String(), "level=WARN"); n != len(names) {
			t.Errorf("%d lines, want %d", n, len(names))
		}
		for _, name := range names {
			if !strings.Contains(log.String(), "signal="+name) {
				t.Errorf("no line for %s", name)
			}
		}
		if t.Failed() {
			t.Fatal(log.String())
		}
		log.Reset()
	}
	want("gorutines", `"root_span.p95 GET /cart"`, "root_span.p99", `"root_span.p99 "`)
	s := runtimeinfo.NewSnapshot()
	s.SpanGroups = []runtimeinfo.SpanGroup{{Name: "GET /cart", Ended: 1000}}
	for range 60 * 70 {
		s = s.WithEvents(nil)
		s.Seq, s.Time = s.Seq+1, s.Time.Add(time.Second)
		w.Judge(s)
		if log.Len() > 0 && s.Seq < 3600 {
			t.Fatalf("after %d s: %s", s.Seq, log.String())
		}
	}
	want(`"root_span.active GET /crat"`)
}
