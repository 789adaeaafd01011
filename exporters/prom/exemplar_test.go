// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// withExemplars returns a live snapshot whose counters and histograms have exemplars.
func withExemplars(t *testing.T) *runtimeinfo.Snapshot {
	t.Helper()
	r := sampler.NewReader(sampler.Config{})
	span := &runtimeinfo.Span{TraceID: [16]byte{0xab}, SpanID: [8]byte{0xcd}, Name: "GET /", Sampled: true}
	var s *runtimeinfo.Snapshot
	for range 3 {
		runtime.GC()
		r.Read(sampler.Tick{Time: time.Now(), Span: span})
		s = r.Snapshot()
	}
	return s
}

var exemplarText = regexp.MustCompile(` # \{([^}]*)\} (\S+) (\S+)\n`)

func TestExemplarsInOpenMetrics(t *testing.T) {
	e := newExporter(t, own())
	s := withExemplars(t)
	export(t, e, s)
	page := scrape(t, e, acceptOpenMetrics)
	found := exemplarText.FindAllStringSubmatch(page, -1)
	if len(found) < 8 {
		t.Errorf("%d exemplars", len(found))
	}
	for _, x := range found {
		at, err := strconv.ParseFloat(x[3], 64)
		if err != nil || at > float64(s.Time.UnixMicro())/1e6+1e-3 || at < float64(s.Time.Add(-time.Minute).UnixMicro())/1e6 {
			t.Errorf("at %s, the tick is at %v: %v", x[3], s.Time, err)
		}
		runes := 0
		for label := range strings.SplitSeq(x[1], ",") {
			name, value, _ := strings.Cut(label, "=")
			runes += utf8.RuneCountInString(name) + utf8.RuneCountInString(strings.Trim(value, `"`))
		}
		if runes > prometheus.ExemplarMaxRunes || !strings.Contains(x[1], `relation="concurrent"`) || !strings.Contains(x[1], `trace_id="ab00`) {
			t.Errorf("%d runes: %s", runes, x[1])
		}
	}
	for line := range strings.Lines(page) {
		if strings.Contains(line, " # {") && !strings.Contains(line, "_total") && !strings.Contains(line, "_bucket{") {
			t.Errorf("an exemplar on a gauge: %s", line)
		}
	}
	if classic := scrape(t, e, acceptText); strings.Contains(classic, " # ") {
		t.Error("exemplars in the classic text format")
	}
}
