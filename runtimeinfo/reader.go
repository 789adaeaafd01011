// Package runtimeinfo answers "what is this process doing?": one table of
// metrics, the [Catalogue], and a [Reader] that turns it into an immutable
// [Snapshot] at each tick.
//
//	r := runtimeinfo.NewReader(runtimeinfo.Config{})
//	r.Read(runtimeinfo.Tick{Time: time.Now()})
//	n, _ := r.Snapshot().Number("go.goroutine.count")
//
// Most programs start package agent instead, which does this each second.
//
// Nothing here stops the world: the values of runtime.MemStats come from
// runtime/metrics. One Read costs a few microseconds whatever the number of
// goroutines and the size of the heap, and allocates nothing once warm; see
// BenchmarkRead.
package runtimeinfo

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"time"
)

// Config configures a [Reader]. The zero value is ready to use.
type Config struct {
	// Resource describes the process in every snapshot: service.name and so on.
	// Default: none.
	Resource []Attr
}

// Reader samples the process. Make one with [NewReader].
//
// Read and Snapshot belong to one goroutine; Pulse and AddGauge may be called
// from any other at any time.
type Reader struct {
	resource []Attr
	start    time.Time
	pulse    *pulse
	seq      uint64

	mu         sync.Mutex // guards what follows against AddGauge
	metrics    []*Metric  // replaced, never changed, by AddGauge
	places     []place    // of metrics
	rows       []row
	reading    reading
	numbers    []float64
	histograms []Histogram
	exemplars  exemplars
	gauges     int
}

// row is one metric of the table, its source resolved to indexes.
type row struct {
	*Metric
	source         source // a copy: what a tick reads lies together
	add, sub, over []int
	window         *window
	gauge          int
}

// NewReader returns a Reader for the metrics that this toolchain knows; those it
// does not are absent from every snapshot.
func NewReader(c Config) *Reader {
	r := &Reader{
		resource: slices.Clone(c.Resource),
		start:    time.Now(),
		pulse:    newPulse(),
		reading:  reading{windows: map[string]*window{}},
	}
	index := map[string]int{}
	for _, m := range Catalogue() {
		r.add(m, index)
	}
	return r
}

// add resolves a metric's source; index has the samples known so far by key.
func (r *Reader) add(m *Metric, index map[string]int) {
	w := row{Metric: m, source: *m.source}
	resolve := func(keys ...string) (indexes []int) {
		for _, k := range keys {
			i, ok := index[k]
			if !ok {
				i = len(r.reading.samples)
				index[k] = i
				r.reading.samples = append(r.reading.samples, metrics.Sample{Name: k})
			}
			indexes = append(indexes, i)
		}
		return indexes
	}
	w.add, w.sub, w.over = resolve(m.source.add...), resolve(m.source.sub...), resolve(m.source.over...)
	if key := m.source.histogram; key != "" {
		resolve(key)
		if r.reading.windows[key] == nil {
			r.reading.windows[key] = new(window)
		}
		w.window = r.reading.windows[key]
	}
	if m.source.gauge {
		w.gauge = r.gauges
		r.gauges++
	}
	if m.Kind == KindHistogram {
		m.slot = len(r.histograms)
		r.histograms = append(r.histograms, Histogram{Bounds: m.source.bounds})
	} else {
		m.slot = len(r.numbers)
		r.numbers = append(r.numbers, math.NaN())
	}
	r.rows = append(r.rows, w)
	r.metrics, r.places = append(slices.Clip(r.metrics), m), append(slices.Clip(r.places), m.place())
}

// Pulse takes a look at the scheduler between two ticks, so that the next
// snapshot has its minimum, mean and maximum. Lateness is how late the caller's
// goroutine woke; negative if unknown. About 0.1 µs hot, no allocation.
func (r *Reader) Pulse(lateness time.Duration) { r.pulse.beat(lateness) }

// Read takes one sample. It allocates nothing once warm, does not stop the
// world, and does not depend on the number of goroutines.
func (r *Reader) Read(t Tick) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := &r.reading
	in.tick = t
	in.sched = r.pulse.beat(-1)
	r.pulse.take(&in.pulse)
	in.repairs += in.pulse.repairs
	metrics.Read(in.samples)
	debug.ReadGCStats(&in.gc)
	r.advance()
	for i := range r.rows {
		r.evaluate(&r.rows[i])
	}
}

// advance moves the windows of the runtime's histograms on by one tick.
func (r *Reader) advance() {
	for i := range r.reading.samples {
		s := &r.reading.samples[i]
		if s.Value.Kind() == metrics.KindFloat64Histogram {
			h := s.Value.Float64Histogram()
			r.reading.windows[s.Name].advance(h.Counts, h.Buckets)
		}
	}
}

func (r *Reader) evaluate(w *row) {
	in, src := &r.reading, &w.source
	switch {
	case src.add != nil:
		r.numbers[w.slot] = in.combine(w)
	case src.bounds != nil:
		if h := &r.histograms[w.slot]; h.Counts == nil || w.window.total > 0 {
			h.rebucket(w.window.last, w.window.bounds)
		}
	case w.window != nil:
		r.numbers[w.slot] = w.window.quantile(src.quantile)
	case src.isField:
		r.numbers[w.slot] = math.NaN()
		if v, ok := in.tick.Host.Get(src.field); ok {
			r.numbers[w.slot] = v
		}
	case src.number != nil:
		r.numbers[w.slot] = src.number(in)
	case src.distribution != nil:
		r.histograms[w.slot] = *src.distribution(in)
	case src.gauge:
		r.numbers[w.slot] = math.NaN()
		if w.gauge < len(in.tick.Gauges) && !math.IsInf(in.tick.Gauges[w.gauge], 0) {
			r.numbers[w.slot] = in.tick.Gauges[w.gauge]
		}
	}
}

// combine is the sum of a row's samples. Below zero it is zero: the parts of a
// difference are not read at one instant.
func (r *reading) combine(w *row) float64 {
	v := r.sum(w.add) - r.sum(w.sub)
	if v < 0 {
		v = 0
	}
	if w.over == nil {
		return v
	}
	over := r.sum(w.over)
	if over == 0 {
		return math.NaN()
	}
	return v / over
}

// Snapshot returns the result of the last Read as an immutable copy: a few
// allocations of a few kilobytes in all.
func (r *Reader) Snapshot() *Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.reading.tick
	r.seq++
	s := &Snapshot{
		Seq: r.seq, Time: t.Time, Start: r.start, Resource: r.resource,
		Events:     t.Events,
		metrics:    r.metrics,
		places:     r.places,
		numbers:    slices.Clone(r.numbers),
		histograms: cloneHistograms(r.histograms),
	}
	r.exemplars.advance(r, exemplarSpan(t.Spans))
	s.exemplars = r.exemplars.numbers
	for i, x := range r.exemplars.histograms {
		s.histograms[i].Exemplars = x
	}
	if t.Spans != nil {
		s.Spans, s.SpanGroups = t.Spans.Active, t.Spans.Groups
		s.Events = append(slices.Clip(s.Events), t.Spans.Events...)
	}
	if t.Findings != nil {
		s.Events = append(slices.Clip(s.Events), t.Findings.Events...)
	}
	if t.Baselines != nil {
		var events []Event
		s.Bands, events = t.Baselines(s)
		t.bands = s.Bands
		s.Events = append(slices.Clip(s.Events), events...)
	}
	var m *Metric
	add := func(v float64, labels ...string) {
		s.series = append(s.series, Point{Metric: m, Number: v, Labels: labels})
	}
	for _, m = range r.metrics {
		if m.source.series != nil {
			m.source.series(t, add)
		}
	}
	return s
}

// cloneHistograms copies all counts into one new array.
func cloneHistograms(hs []Histogram) []Histogram {
	out := slices.Clone(hs)
	n := 0
	for i := range out {
		n += len(out[i].Counts)
	}
	counts := make([]uint64, 0, n)
	for i := range out {
		if out[i].Counts == nil {
			continue
		}
		at := len(counts)
		counts = append(counts, out[i].Counts...)
		out[i].Counts = counts[at:len(counts):len(counts)]
	}
	return out
}
