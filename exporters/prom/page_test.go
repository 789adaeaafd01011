// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// upstream returns the families of client_golang. Existing dashboards, such as 6671,
// 10826 and 14061, and alerts query them.
func upstream() []string {
	return strings.Fields(`
		go_build_info go_gc_duration_seconds go_gc_gogc_percent go_gc_gomemlimit_bytes go_goroutines go_info
		go_memstats_alloc_bytes go_memstats_alloc_bytes_total go_memstats_buck_hash_sys_bytes go_memstats_frees_total
		go_memstats_gc_sys_bytes go_memstats_heap_alloc_bytes go_memstats_heap_idle_bytes go_memstats_heap_inuse_bytes
		go_memstats_heap_objects go_memstats_heap_released_bytes go_memstats_heap_sys_bytes
		go_memstats_last_gc_time_seconds go_memstats_mallocs_total go_memstats_mcache_inuse_bytes
		go_memstats_mcache_sys_bytes go_memstats_mspan_inuse_bytes go_memstats_mspan_sys_bytes
		go_memstats_next_gc_bytes go_memstats_other_sys_bytes go_memstats_stack_inuse_bytes
		go_memstats_stack_sys_bytes go_memstats_sys_bytes go_sched_gomaxprocs_threads go_threads
		process_cpu_seconds_total process_max_fds process_network_receive_bytes_total
		process_network_transmit_bytes_total process_open_fds process_resident_memory_bytes
		process_start_time_seconds process_virtual_memory_bytes process_virtual_memory_max_bytes
		promhttp_metric_handler_errors_total`)
}

func TestPageBeforeTheFirstExportHasOnlyUpstreamFamilies(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the process collector has other families on " + runtime.GOOS)
	}
	e := newExporter(t, whole())
	got := slices.Sorted(maps.Keys(parse(t, scrape(t, e, acceptText))))
	if want := upstream(); !slices.Equal(got, want) {
		t.Errorf("families\n got  %q\n want %q", got, want)
	}
}

// TestPageHasEveryPoint parses the page: it has each point of a live snapshot exactly
// once, and no other gmpulse series.
func TestPageHasEveryPoint(t *testing.T) {
	e := newExporter(t, whole())
	s := live(t)
	export(t, e, s)
	want := samplesOfSnapshot(s)
	for _, accept := range []string{acceptText, acceptOpenMetrics} {
		page := scrape(t, e, accept)
		if strings.HasSuffix(page, "\n# EOF\n") != (accept == acceptOpenMetrics) {
			t.Errorf("%s: ends in %q", accept, page[len(page)-20:])
		}
		got := samplesOfPage(t, page)
		for id, v := range want {
			if values := got[id]; len(values) != 1 || values[0] != v {
				t.Errorf("%s: %s is %v, want once %v", accept, id, values, v)
			}
		}
		for id, values := range got {
			if _, known := want[id]; !known {
				t.Errorf("%s: %s = %v is not in the snapshot", accept, id, values)
			}
		}
	}
	if n := e.Skipped(); n != 0 {
		t.Errorf("%d values skipped", n)
	}
}

// samplesOfSnapshot returns the samples that Prometheus should store for a snapshot, by
// name and labels.
func samplesOfSnapshot(s *runtimeinfo.Snapshot) map[string]float64 {
	all := map[string]float64{}
	for p := range s.Points() {
		labels := map[string]string{}
		for k, v := range p.Attrs() {
			labels[label(k)] = strings.ToValidUTF8(v, "\uFFFD")
		}
		name := prom.Name(p.Metric)
		if p.Histogram == nil {
			all[sampleID(name, labels)] = p.Number
			continue
		}
		var n uint64
		for i, c := range p.Histogram.Counts {
			n += c
			labels["le"] = "+Inf"
			if i < len(p.Histogram.Bounds) {
				labels["le"] = fmt.Sprint(p.Histogram.Bounds[i])
			}
			all[sampleID(name+"_bucket", labels)] = float64(n)
		}
		delete(labels, "le")
		all[sampleID(name+"_sum", labels)] = p.Histogram.Sum
		all[sampleID(name+"_count", labels)] = float64(n)
	}
	return all
}

// samplesOfPage returns the values of the gmpulse series by name and labels.
func samplesOfPage(tb testing.TB, page string) map[string][]float64 {
	tb.Helper()
	all := map[string][]float64{}
	for name, f := range parse(tb, oursOnly(page)) {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			add := func(name string, v float64) {
				id := sampleID(name, labels)
				all[id] = append(all[id], v)
			}
			switch h := m.GetHistogram(); {
			case h != nil:
				add(name+"_sum", h.GetSampleSum())
				add(name+"_count", float64(h.GetSampleCount()))
				for _, b := range h.GetBucket() {
					labels["le"] = fmt.Sprint(b.GetUpperBound())
					add(name+"_bucket", float64(b.GetCumulativeCount()))
				}
			case m.GetCounter() != nil:
				add(name, m.GetCounter().GetValue())
			case m.GetGauge() != nil:
				add(name, m.GetGauge().GetValue())
			default: // a counter in OpenMetrics, where the type line lacks the suffix
				add(name, m.GetUntyped().GetValue())
			}
		}
	}
	return all
}

// oursOnly returns the lines of gmpulse families. In OpenMetrics client_golang has two
// families named go_memstats_alloc_bytes, which the parser rejects.
func oursOnly(page string) string {
	var b strings.Builder
	for line := range strings.Lines(page) {
		if strings.HasPrefix(strings.TrimLeft(line, "# HELPTYUNI"), "gmpulse_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func sampleID(name string, labels map[string]string) string {
	pairs := make([]string, 0, len(labels))
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", k, labels[k]))
	}
	return name + "{" + strings.Join(pairs, ",") + "}"
}

func TestPageHasTypeHelpAndUnit(t *testing.T) {
	e := newExporter(t, whole())
	s := live(t)
	export(t, e, s)
	text, om := parse(t, scrape(t, e, acceptText)), scrape(t, e, acceptOpenMetrics)
	want := map[runtimeinfo.Kind]dto.MetricType{
		runtimeinfo.KindGauge:         dto.MetricType_GAUGE,
		runtimeinfo.KindUpDownCounter: dto.MetricType_GAUGE,
		runtimeinfo.KindCounter:       dto.MetricType_COUNTER,
		runtimeinfo.KindHistogram:     dto.MetricType_HISTOGRAM,
	}
	for p := range s.Points() {
		name := prom.Name(p.Metric)
		if f := text[name]; f.GetType() != want[p.Metric.Kind] || f.GetHelp() != p.Metric.Help {
			t.Errorf("%s is a %v with help %q, want %v with %q", name, f.GetType(), f.GetHelp(), want[p.Metric.Kind], p.Metric.Help)
		}
		if p.Metric.Unit == "s" {
			family := strings.TrimSuffix(name, "_total")
			if !strings.Contains(om, "# UNIT "+family+" seconds\n") {
				t.Errorf("OpenMetrics has no unit for %s", family)
			}
		}
	}
}

func TestPromlint(t *testing.T) {
	e := newExporter(t, whole())
	export(t, e, live(t))
	problems, err := promlint.New(strings.NewReader(scrape(t, e, acceptText))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestPromtool checks the page with the tool that comes with Prometheus.
func TestPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no promtool; apt-get install prometheus")
		}
		t.Skip("no promtool; apt-get install prometheus")
	}
	e := newExporter(t, whole())
	export(t, e, live(t))
	cmd := exec.CommandContext(t.Context(), tool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t, e, acceptText))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	if len(out) > 0 {
		t.Errorf("promtool complains:\n%s", out)
	}
}

// TestSeriesBudget limits the number of series, which every Prometheus has to store.
func TestSeriesBudget(t *testing.T) {
	e := newExporter(t, whole())
	t.Run("fixed", func(t *testing.T) {
		depth := &runtimeinfo.Metric{Name: "queue.depth", Kind: runtimeinfo.KindGauge, Help: "Waiting jobs."}
		delay := &runtimeinfo.Metric{Name: "queue.delay", Unit: "s", Kind: runtimeinfo.KindHistogram, Help: "Waiting time of jobs."}
		jobs := &runtimeinfo.Metric{Name: "queue.jobs", Kind: runtimeinfo.KindCounter, Help: "Jobs.", Keys: []string{"queue.name"}}
		export(t, e, runtimeinfo.NewSnapshot(
			runtimeinfo.Point{Metric: depth, Number: 4},
			runtimeinfo.Point{Metric: delay, Histogram: &runtimeinfo.Histogram{Bounds: []float64{1, 2}, Counts: []uint64{3, 0, 1}, Sum: 9}},
			runtimeinfo.Point{Metric: jobs, Labels: []string{"in"}, Number: 5},
			runtimeinfo.Point{Metric: jobs, Labels: []string{"out"}, Number: 6},
		))
		// 1 gauge; 3 buckets, sum and count; 2 queues.
		families, series := count(t, e)
		if families != 3 || series != 8 {
			t.Errorf("%d families with %d series, want 3 with 8", families, series)
		}
	})
	t.Run("baselines", func(t *testing.T) {
		series := func(bands ...runtimeinfo.Band) int {
			t.Helper()
			s := catalogue.NewProcess().Sample(sampler.Tick{Time: time.Now()}, func(d *catalogue.Draft) {
				for _, b := range bands {
					d.Set("gmpulse.anomaly", 0, b.Signal)
					d.Set("gmpulse.anomalies", 0, b.Signal)
					if !b.Learning {
						d.Set("gmpulse.expected", b.Lower, b.Signal, "lower")
						d.Set("gmpulse.expected", b.Expected, b.Signal, "expected")
						d.Set("gmpulse.expected", b.Upper, b.Signal, "upper")
					}
				}
			})
			export(t, e, s)
			page := scrape(t, e, acceptText)
			return strings.Count(page, "\ngmpulse_anomal") + strings.Count(page, "\ngmpulse_expected")
		}
		// Anomaly, count and three bounds; a signal that is still learning has no bounds.
		if n := series(runtimeinfo.Band{Signal: "a", Value: 1, Lower: 1, Expected: 1, Upper: 2}, runtimeinfo.Band{Signal: "b", Learning: true}); n != 7 {
			t.Errorf("%d series of one learned signal and one that is learning, want 7", n)
		}
	})
	t.Run("live", func(t *testing.T) {
		export(t, e, live(t))
		families, series := count(t, e)
		t.Logf("%d families, %d series", families, series)
		if families > 130 || series > 260 {
			t.Errorf("%d families with %d series, the budget is 130 with 260", families, series)
		}
		if families < 80 || series < 150 {
			t.Errorf("%d families with %d series: the snapshot is incomplete", families, series)
		}
	})
}

// count returns the number of gmpulse families and series on the page.
func count(t *testing.T, e *prom.Exporter) (families, series int) {
	t.Helper()
	page := scrape(t, e, acceptText)
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "gmpulse_") {
			series++
		}
	}
	return len(ours(parse(t, page))), series
}

func TestPageWithGzip(t *testing.T) {
	e := newExporter(t, whole())
	export(t, e, live(t))
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	e.Handler().ServeHTTP(w, r)
	if got := w.Header().Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("Content-Encoding %q", got)
	}
	if n := len(ours(parse(t, unzip(t, w.Body)))); n < 80 {
		t.Errorf("%d gmpulse families, want at least 80", n)
	}
}

func unzip(t *testing.T, r io.Reader) string {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestTargetInfo(t *testing.T) {
	e := newExporter(t, whole())
	s := runtimeinfo.NewSnapshot()
	export(t, e, s)
	if page := scrape(t, e, acceptText); strings.Contains(page, "target_info") {
		t.Error("target_info without a resource")
	}
	s = runtimeinfo.NewSnapshot()
	s.Resource = []runtimeinfo.Attr{
		{Key: "service.name", Value: "checkout"},
		{Key: "k8s.pod.name", Value: "checkout-7\xff"},
		{Key: "service_name", Value: "second"},
		{Key: "1st", Value: "digit"},
		{Key: "__name__", Value: "reserved"},
	}
	export(t, e, s)
	const want = "\ntarget_info{k8s_pod_name=\"checkout-7\uFFFD\",key_1st=\"digit\",key__name__=\"reserved\",service_name=\"checkout;second\"} 1\n"
	if page := scrape(t, e, acceptText); !strings.Contains(page, want) {
		t.Errorf("want %s in\n%s", want, page[strings.Index(page, "target_info"):])
	}
}
