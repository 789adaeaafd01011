// SPDX-License-Identifier: Apache-2.0

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
	rows       []row      // those with one value
	labelled   []labelled // those with several
	terms      []int32    // of all rows: indexes into reading.samples
	advancing  []advance
	cycles     int // index of the sample that counts collections
	reading    reading
	numbers    []float64
	histograms []Histogram
	exemplars  exemplars
	gauges     int

	points, labels int // of the labelled, in the last snapshot
}

// NewReader returns a Reader for the metrics that this toolchain knows; those it
// does not are absent from every snapshot.
func NewReader(c Config) *Reader {
	r := &Reader{
		resource: slices.Clone(c.Resource),
		start:    time.Now(),
		pulse:    newPulse(),
		reading:  reading{cycles: math.NaN()},
	}
	index := map[string]int{}
	r.cycles = r.sample("/gc/cycles/total:gc-cycles", index)
	for _, m := range Catalogue() {
		r.add(m, index)
	}
	return r
}

// add resolves a metric's source; index has the samples known so far by key.
func (r *Reader) add(m *Metric, index map[string]int) {
	if m.Kind == KindHistogram {
		m.slot = len(r.histograms)
		r.histograms = append(r.histograms, Histogram{Bounds: m.source.bounds})
	} else {
		m.slot = len(r.numbers)
		r.numbers = append(r.numbers, math.NaN())
	}
	if m.source.series != nil {
		r.labelled = append(r.labelled, labelled{m, m.source.series})
	} else {
		r.rows = append(r.rows, r.resolve(m, index))
	}
	r.exemplars.follow(m)
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
	r.readGC()
	r.advance()
	for i := range r.rows {
		r.evaluate(&r.rows[i])
	}
}

// readGC asks when the last collection was, if there was one since it was asked.
func (r *Reader) readGC() {
	in := &r.reading
	if cycles := scalar(&in.samples[r.cycles]); cycles != in.cycles { // also where it is unknown
		debug.ReadGCStats(&in.gc)
		in.cycles = cycles
	}
}

// advance moves the windows of the runtime's histograms on by one tick.
func (r *Reader) advance() {
	for _, a := range r.advancing {
		if v := r.reading.samples[a.sample].Value; v.Kind() == metrics.KindFloat64Histogram {
			h := v.Float64Histogram()
			a.window.advance(h.Counts, h.Buckets)
		}
	}
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
	s.series = r.series(t)
	return s
}

// series returns the values of the metrics with keys. There are about as many as last time.
func (r *Reader) series(t *Tick) []Point {
	to := emitter{points: make([]Point, 0, r.points+r.points/8), labels: make([]string, 0, r.labels+r.labels/8)}
	for _, l := range r.labelled {
		to.metric = l.metric
		l.series(t, &to)
	}
	r.points, r.labels = len(to.points), len(to.labels)
	return to.points
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
