// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// TestCollectorSharesARegistry registers an Exporter in a pedantic registry with all
// collectors of client_golang.
func TestCollectorSharesARegistry(t *testing.T) {
	e := newExporter(t, prom.Config{Metrics: catalogue.All(), Selection: own().Selection})
	r := prometheus.NewPedanticRegistry()
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
		e,
	} {
		if err := r.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	before, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	export(t, e, live(t))
	after, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(after) - len(before); n < 80 {
		t.Errorf("%d gmpulse families, want at least 80", n)
	}
	for _, f := range after {
		if name := f.GetName(); name == "target_info" || strings.HasPrefix(name, "promhttp_") {
			t.Errorf("%s is collected in the application's registry", name)
		}
	}
}

func TestCollectedFamiliesHaveThePrefix(t *testing.T) {
	e := newExporter(t, whole())
	r := prometheus.NewRegistry()
	r.MustRegister(e)
	export(t, e, live(t))
	families, err := r.Gather()
	if err != nil || len(families) == 0 {
		t.Fatal(len(families), err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "gmpulse_") {
			t.Error(f.GetName())
		}
	}
}

func TestUnregisterAfterGaugesWereAdded(t *testing.T) {
	e := newExporter(t, whole())
	r := prometheus.NewRegistry()
	r.MustRegister(e)
	reader := catalogue.NewProcess()
	export(t, e, read(t, reader))
	addGauge(t, reader, "queue.depth", "")
	export(t, e, read(t, reader, 5))
	if !r.Unregister(e) {
		t.Error("Unregister did not find the Exporter")
	}
	if err := r.Register(e); err != nil {
		t.Error(err)
	}
}

// TestGaugesAddedWhileRunning also checks that the families known before stay.
func TestGaugesAddedWhileRunning(t *testing.T) {
	e := newExporter(t, whole())
	own := prometheus.NewRegistry()
	own.MustRegister(e)
	reader := catalogue.NewProcess()
	read(t, reader) // quantiles need two readings
	export(t, e, read(t, reader))
	before := ours(parse(t, scrape(t, e, acceptText)))
	addGauge(t, reader, "queue.depth", "")
	addGauge(t, reader, "queue.delay", "s")
	export(t, e, read(t, reader, 5, 0.5))
	page := scrape(t, e, acceptText)
	for _, want := range []string{"\ngmpulse_queue_depth 5\n", "\ngmpulse_queue_delay_seconds 0.5\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	families := ours(parse(t, page))
	for _, name := range append(before, "gmpulse_queue_depth", "gmpulse_queue_delay_seconds") {
		if !slices.Contains(families, name) && !perTick(name) {
			t.Errorf("%s is missing", name)
		}
	}
	gathered, err := own.Gather()
	if err != nil || len(gathered) != len(families) {
		t.Errorf("the application's registry has %d families, want %d; %v", len(gathered), len(families), err)
	}
}

// perTick reports whether a family is a quantile, which is absent after a tick without
// an observation.
func perTick(name string) bool {
	return slices.ContainsFunc([]string{"_p50_", "_p99_", "_max_"}, func(q string) bool { return strings.Contains(name, q) })
}

// TestConflictingGaugesAreSkipped adds gauges that a reader accepts and a registry
// rejects. Each would fail every scrape of the application's registry.
func TestConflictingGaugesAreSkipped(t *testing.T) {
	names := []string{
		"goroutines",                          // the same name as a family of the catalogue
		"go.memory.used.bytes",                // the same, because of the unit
		"go.schedule.duration.seconds.count",  // a series of a histogram
		"go.schedule.duration.seconds.bucket", // another
		"go.schedule.duration.seconds",        // the histogram itself
		"go.memory.gc.cycles.total",           // a counter
	}
	reader := catalogue.NewProcess()
	values := make([]float64, len(names)+1)
	added := 0
	for _, name := range names {
		if err := reader.Gauge(name, ""); err == nil {
			added++
		}
	}
	if added == 0 {
		t.Skip("the reader accepts none of them")
	}
	addGauge(t, reader, "queue.depth", "")
	values[added] = 7
	var log bytes.Buffer
	e := newExporter(t, prom.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	own := prometheus.NewRegistry()
	own.MustRegister(e)
	for range 2 {
		export(t, e, read(t, reader, values[:added+1]...))
	}
	if _, err := own.Gather(); err != nil {
		t.Error(err)
	}
	if n := e.Skipped(); n != uint64(added) {
		t.Errorf("%d values skipped, want %d", n, added)
	}
	addGauge(t, reader, "queue.length", "") // a new list of metrics must not log the old conflicts again
	export(t, e, read(t, reader, values[:added+1]...))
	if n := strings.Count(log.String(), "metric omitted"); n != added {
		t.Errorf("%d metrics logged, want %d, once each:\n%s", n, added, &log)
	}
	if page := scrape(t, e, acceptText); !strings.Contains(page, "\ngmpulse_queue_depth 7\n") {
		t.Error("the gauge without a conflict is missing")
	}
}

func addGauge(t *testing.T, p *catalogue.Process, name, unit string) {
	t.Helper()
	if err := p.Gauge(name, unit); err != nil {
		t.Fatal(err)
	}
}

// invalidPoints are points of which a registry rejects some.
type invalidPoints struct {
	points  []runtimeinfo.Point
	skipped uint64
}

func allInvalidPoints() map[string]invalidPoints {
	const gauge = runtimeinfo.KindGauge
	good := &runtimeinfo.Metric{Name: "good", Kind: gauge}
	keyed := &runtimeinfo.Metric{Name: "keyed", Kind: gauge, Keys: []string{"k"}}
	histogram := &runtimeinfo.Metric{Name: "h", Kind: runtimeinfo.KindHistogram}
	buckets := func(n int) *runtimeinfo.Histogram {
		return &runtimeinfo.Histogram{Bounds: []float64{1}, Counts: make([]uint64, n)}
	}
	return map[string]invalidPoints{
		"same labels": {[]runtimeinfo.Point{
			{Metric: keyed, Labels: []string{"a"}, Number: 1}, {Metric: keyed, Labels: []string{"a"}, Number: 2},
		}, 1},
		"same labels once valid": {[]runtimeinfo.Point{
			{Metric: keyed, Labels: []string{"\xfe"}}, {Metric: keyed, Labels: []string{"\xff"}}, {Metric: keyed, Labels: []string{"b"}},
		}, 1},
		"same metric twice": {[]runtimeinfo.Point{
			{Metric: good}, {Metric: &runtimeinfo.Metric{Name: "good", Kind: gauge}},
		}, 1},
		"other help": {[]runtimeinfo.Point{
			{Metric: good}, {Metric: &runtimeinfo.Metric{Name: "good", Kind: gauge, Help: "x", Attr: runtimeinfo.Attr{Key: "a", Value: "b"}}},
		}, 1},
		"other labels": {[]runtimeinfo.Point{
			{Metric: good}, {Metric: &runtimeinfo.Metric{Name: "good", Kind: gauge, Attr: runtimeinfo.Attr{Key: "a", Value: "b"}}},
		}, 1},
		"other type": {[]runtimeinfo.Point{
			{Metric: &runtimeinfo.Metric{Name: "good.total", Kind: gauge}}, {Metric: &runtimeinfo.Metric{Name: "good", Kind: runtimeinfo.KindCounter}},
		}, 1},
		"other unit": {[]runtimeinfo.Point{
			{Metric: &runtimeinfo.Metric{Name: "good", Unit: "s", Kind: gauge, Attr: runtimeinfo.Attr{Key: "a", Value: "b"}}},
			{Metric: &runtimeinfo.Metric{Name: "good.seconds", Kind: gauge, Attr: runtimeinfo.Attr{Key: "a", Value: "c"}}},
		}, 1},
		"counter without its suffix": {[]runtimeinfo.Point{ // the same family in OpenMetrics
			{Metric: &runtimeinfo.Metric{Name: "good", Kind: runtimeinfo.KindCounter}}, {Metric: good},
		}, 1},
		"gauge, then up-down-counter": {[]runtimeinfo.Point{
			{Metric: &runtimeinfo.Metric{Name: "g", Kind: gauge, Attr: runtimeinfo.Attr{Key: "a", Value: "b"}}},
			{Metric: &runtimeinfo.Metric{Name: "g", Kind: runtimeinfo.KindUpDownCounter, Attr: runtimeinfo.Attr{Key: "a", Value: "c"}}},
		}, 0},
		"keys with the same label name": {[]runtimeinfo.Point{
			{Metric: &runtimeinfo.Metric{Name: "x", Kind: gauge, Keys: []string{"a.b", "a_b"}}, Labels: []string{"1", "2"}}, {Metric: good},
		}, 1},
		"too few labels":  {[]runtimeinfo.Point{{Metric: keyed}, {Metric: keyed, Labels: []string{"a"}}}, 1},
		"too few buckets": {[]runtimeinfo.Point{{Metric: histogram, Histogram: buckets(1)}, {Metric: good}}, 1},
		"no histogram": {[]runtimeinfo.Point{
			{Metric: &runtimeinfo.Metric{Name: "h", Kind: runtimeinfo.KindHistogram, Keys: []string{"k"}}, Labels: []string{"v"}}, {Metric: good},
		}, 1},
		"label le": {[]runtimeinfo.Point{
			{Metric: &runtimeinfo.Metric{Name: "h", Kind: runtimeinfo.KindHistogram, Attr: runtimeinfo.Attr{Key: "le", Value: "1"}}, Histogram: buckets(2)}, {Metric: good},
		}, 1},
		"catalogue": { // described, so that its names are reserved
			[]runtimeinfo.Point{{Metric: &runtimeinfo.Metric{Name: "go.goroutine.count", Kind: gauge, Help: "Mine."}}, {Metric: good}}, 1,
		},
		"unknown kind": {[]runtimeinfo.Point{{Metric: &runtimeinfo.Metric{Name: "x", Kind: 99}}, {Metric: good}}, 1},
		"no legal text": {[]runtimeinfo.Point{
			{Metric: &runtimeinfo.Metric{Name: "\xff", Unit: "\xff", Kind: gauge, Help: "\xff\n", Attr: runtimeinfo.Attr{Key: "\xff", Value: "\xff"}}},
		}, 0},
	}
}

// TestInvalidPointsAreSkipped checks that such points are counted, and that the others
// are served without an error.
func TestInvalidPointsAreSkipped(t *testing.T) {
	for name, c := range allInvalidPoints() {
		t.Run(name, func(t *testing.T) {
			e := newExporter(t, whole())
			own := prometheus.NewRegistry()
			own.MustRegister(e)
			export(t, e, runtimeinfo.NewSnapshot(c.points...))
			families, err := own.Gather()
			if err != nil {
				t.Error(err)
			}
			if e.Skipped() != c.skipped {
				t.Errorf("%d values skipped, want %d", e.Skipped(), c.skipped)
			}
			got := 0
			for _, f := range families {
				got += len(f.GetMetric())
			}
			if want := len(c.points) - int(c.skipped); got != want {
				t.Errorf("%d values published, want %d", got, want)
			}
			parse(t, scrape(t, e, acceptText))
		})
	}
}

func TestScrapeDoesNotChangeTheSnapshot(t *testing.T) {
	e := newExporter(t, whole())
	labels := []string{"good", "bad\xff"}
	m := &runtimeinfo.Metric{Name: "m", Kind: runtimeinfo.KindGauge, Keys: []string{"a", "b"}}
	export(t, e, runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: m, Labels: labels}))
	if page := scrape(t, e, acceptText); !strings.Contains(page, "gmpulse_m{a=\"good\",b=\"bad\uFFFD\"} 0\n") {
		t.Error("the value is missing")
	}
	if labels[1] != "bad\xff" {
		t.Errorf("the label became %q", labels[1])
	}
}

func TestShutdownRemovesOwnFamilies(t *testing.T) {
	e := newExporter(t, whole())
	s := live(t)
	export(t, e, s)
	for range 2 {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Export(t.Context(), s); !errors.Is(err, exporters.ErrShutdown) {
		t.Errorf("Export after Shutdown: %v", err)
	}
	families := parse(t, scrape(t, e, acceptText))
	if names := ours(families); len(names) != 0 || families["target_info"] != nil {
		t.Errorf("after Shutdown the page has %q", names)
	}
	if families["go_goroutines"] == nil {
		t.Error("after Shutdown the page lacks the rest")
	}
}

func TestNewReportsConflictingCollectors(t *testing.T) {
	_, err := prom.New(prom.Config{GoCollectors: true, Collectors: []prometheus.Collector{
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "go_goroutines", Help: "Mine."}),
		nil,
	}})
	if err == nil || !strings.Contains(err.Error(), "go_goroutines") || !strings.Contains(err.Error(), "nil") {
		t.Errorf("error %v does not name both collectors", err)
	}
}

func TestPanickingCollectorLosesOnlyItsOwnValues(t *testing.T) {
	e := newExporter(t, prom.Config{Collectors: []prometheus.Collector{
		panicking{},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "mine", Help: "Mine."}, func() float64 { return 8 }),
	}})
	export(t, e, live(t))
	scrape(t, e, acceptText)
	page := scrape(t, e, acceptText)
	if !strings.Contains(page, "\nmine 8\n") || len(ours(parse(t, page))) < 40 {
		t.Error("other families are missing")
	}
	if !strings.Contains(page, `promhttp_metric_handler_errors_total{cause="gathering"} 1`) {
		t.Error("the error is not counted")
	}
}

// panicking is an unchecked collector that panics.
type panicking struct{}

func (panicking) Describe(chan<- *prometheus.Desc) {}
func (panicking) Collect(chan<- prometheus.Metric) { panic("oh") }

// blocking is an unchecked collector that blocks.
type blocking struct {
	until chan struct{}
	calls *atomic.Int32
}

func (blocking) Describe(chan<- *prometheus.Desc) {}

func (b blocking) Collect(chan<- prometheus.Metric) {
	b.calls.Add(1)
	<-b.until
}

// TestBlockedCollectorBlocksNoRequest checks the limit on running scrapes, their timeout,
// and that blocked collections do not accumulate.
func TestBlockedCollectorBlocksNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		until := make(chan struct{})
		e := newExporter(t, prom.Config{Collectors: []prometheus.Collector{blocking{until, &calls}}})
		start := time.Now()
		var requests sync.WaitGroup
		get := func(want int, after time.Duration) {
			w := httptest.NewRecorder()
			e.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
			if w.Code != want || time.Since(start) != after {
				t.Errorf("HTTP %d after %v, want %d after %v", w.Code, time.Since(start), want, after)
			}
		}
		for range 20 {
			requests.Go(func() { get(http.StatusServiceUnavailable, 5*time.Second) })
		}
		synctest.Wait()
		for range 236 { // wait for a place
			requests.Go(func() { get(http.StatusServiceUnavailable, 5*time.Second) })
		}
		synctest.Wait()
		get(http.StatusServiceUnavailable, 0) // no place to wait
		requests.Wait()
		synctest.Wait()                                    // the requests that waited have left the queue
		get(http.StatusServiceUnavailable, 10*time.Second) // the first collections still block
		if n := calls.Load(); n != 20 {
			t.Errorf("%d collections were started, want 20", n)
		}
		close(until)
		synctest.Wait()
		get(http.StatusOK, 10*time.Second)
	})
}

// TestConcurrentScrapes exports while 20 clients scrape. Each page has the values of one
// snapshot.
func TestConcurrentScrapes(t *testing.T) {
	e := newExporter(t, whole())
	reader := catalogue.NewProcess()
	addGauge(t, reader, "a.number", "")
	addGauge(t, reader, "b.number", "")
	export(t, e, read(t, reader, 0, 0))
	stop, served := make(chan struct{}), atomic.Int64{}
	var exporting, scraping sync.WaitGroup
	exporting.Go(func() {
		for i := 1.0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = e.Export(t.Context(), read(t, reader, i, i))
			}
		}
	})
	for range 20 {
		scraping.Go(func() {
			for range 10 {
				w := httptest.NewRecorder()
				e.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
				if w.Code == http.StatusServiceUnavailable {
					continue
				}
				served.Add(1)
				if a, b := valueOf(w.Body.String(), "gmpulse_a_number"), valueOf(w.Body.String(), "gmpulse_b_number"); a == "" || a != b {
					t.Errorf("HTTP %d, values of two snapshots: %q and %q", w.Code, a, b)
				}
			}
		})
	}
	scraping.Wait()
	close(stop)
	exporting.Wait()
	if served.Load() == 0 {
		t.Error("nothing was served")
	}
}

func valueOf(page, name string) string {
	_, rest, _ := strings.Cut(page, "\n"+name+" ")
	v, _, _ := strings.Cut(rest, "\n")
	return v
}

// FuzzPage exports metrics with arbitrary strings: the page stays complete and can be
// parsed, and every value is served or counted as skipped.
func FuzzPage(f *testing.F) {
	f.Add("queue.depth", "s", "help", "k", "v", byte(1), 1.5)
	f.Add("\xff", "{", "\n\\", "__name__", "\"\xff", byte(4), -1.0)
	f.Add("go.goroutine.count", "", "", "le", "", byte(3), 0.0)
	f.Fuzz(func(t *testing.T, name, unit, help, key, value string, kind byte, v float64) {
		m := &runtimeinfo.Metric{Name: name, Unit: unit, Help: help, Kind: runtimeinfo.Kind(kind % 6), Keys: []string{key}}
		good := &runtimeinfo.Metric{Name: "well.formed", Kind: runtimeinfo.KindGauge}
		points := []runtimeinfo.Point{{Metric: m, Labels: []string{value}, Number: v}, {Metric: good, Number: 1}}
		if m.Kind == runtimeinfo.KindHistogram {
			points[0].Histogram = &runtimeinfo.Histogram{Bounds: []float64{v}, Counts: []uint64{1, 2}, Sum: v}
		}
		e := newExporter(t, whole())
		own := prometheus.NewRegistry()
		own.MustRegister(e)
		export(t, e, runtimeinfo.NewSnapshot(points...))
		families, err := own.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if got := uint64(len(families)) + e.Skipped(); got != 2 {
			t.Errorf("%d families and %d skipped", len(families), e.Skipped())
		}
		if families := ours(parse(t, scrape(t, e, acceptText))); !strings.Contains(strings.Join(families, " "), "gmpulse_well_formed") {
			t.Errorf("families %q", families)
		}
	})
}
