// SPDX-License-Identifier: Apache-2.0

// Package sampler reads the Go runtime and the host into snapshots.
//
//	r := sampler.NewReader(sampler.Config{})
//	r.Read(sampler.Tick{Time: time.Now()})
//	n, _ := r.Snapshot().Number("go.goroutine.count")
//
// Most programs start package agent instead, which does this each second.
//
// Nothing here stops the world: the values of runtime.MemStats come from
// runtime/metrics. One Read costs a few microseconds whatever the number of
// goroutines and the size of the heap, and allocates nothing once warm; see
// BenchmarkRead.
package sampler

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Config configures a [Reader]. The zero value is ready to use.
type Config struct {
	// Resource describes the process in every snapshot: service.name and so on.
	// Default: none.
	Resource []runtimeinfo.Attr
}

// Reader samples the process. Make one with [NewReader].
//
// Its methods belong to one goroutine; only Pulse may be called from any other at any
// time.
type Reader struct {
	resource []runtimeinfo.Attr
	start    time.Time
	pulse    *pulse
	seq      uint64

	catalogue *runtimeinfo.Catalogue
	values    []value
	windows   []*window
	cycles    int // index of the sample that counts collections
	reading   reading
	builder   *runtimeinfo.Builder // of the last snapshot
}

// value is a metric and its newest value.
type value struct {
	metric    *runtimeinfo.Metric
	compute   func(*reading) float64 // of number; nil for a histogram
	number    float64
	histogram *histogram // nil for a number

	before   float64 // number in the last snapshot
	exemplar *runtimeinfo.Exemplar
}

// histogram is the newest value of a histogram.
type histogram struct {
	runtimeinfo.Histogram
	window *window // of the source in runtime/metrics; nil for the pulses
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
	r.cycles = r.sample("/gc/cycles/total:gc-cycles")
	metrics := Metrics()
	for i, row := range table() {
		r.add(metrics[i], row.source)
	}
	var err error
	if r.catalogue, err = runtimeinfo.NewCatalogue(metrics...); err != nil {
		panic(err) // the table is wrong; a test reads it
	}
	return r
}

// add makes the value of a metric.
func (r *Reader) add(m *runtimeinfo.Metric, src *source) {
	v := value{metric: m, number: math.NaN(), before: math.NaN()}
	switch {
	case src.pulses:
		v.histogram = new(histogram)
	case src.bounds != nil:
		v.histogram = &histogram{runtimeinfo.Histogram{Bounds: src.bounds}, r.window(src.histogram)}
	default:
		v.compute = src.bind(r)
	}
	r.values = append(r.values, v)
}

// window returns the window of a runtime/metrics histogram.
func (r *Reader) window(key string) *window {
	i := r.sample(key)
	for _, w := range r.windows {
		if w.sample == i {
			return w
		}
	}
	w := &window{sample: i}
	r.windows = append(r.windows, w)
	return w
}

// samples returns the indexes of the samples with some keys.
func (r *Reader) samples(keys []string) []int {
	indexes := make([]int, len(keys))
	for i, k := range keys {
		indexes[i] = r.sample(k)
	}
	return indexes
}

// sample returns the index of the sample with a key.
func (r *Reader) sample(key string) int {
	all := &r.reading.samples
	i := slices.IndexFunc(*all, func(s metrics.Sample) bool { return s.Name == key })
	if i < 0 {
		i = len(*all)
		*all = append(*all, metrics.Sample{Name: key})
	}
	return i
}

// Pulse takes a look at the scheduler between two ticks, so that the next
// snapshot has its minimum, mean and maximum. Lateness is how late the caller's
// goroutine woke; negative if unknown. About 0.1 µs hot, no allocation.
func (r *Reader) Pulse(lateness time.Duration) { r.pulse.beat(lateness) }

// Read takes one sample. It allocates nothing once warm, does not stop the
// world, and does not depend on the number of goroutines.
func (r *Reader) Read(t Tick) {
	in := &r.reading
	in.tick = t
	in.sched = r.pulse.beat(-1)
	r.pulse.take(&in.pulse)
	in.repairs += in.pulse.repairs
	metrics.Read(in.samples)
	r.readGC()
	for _, w := range r.windows {
		if v := in.samples[w.sample].Value; v.Kind() == metrics.KindFloat64Histogram {
			h := v.Float64Histogram()
			w.advance(h.Counts, h.Buckets)
		}
	}
	for i := range r.values {
		v := &r.values[i]
		switch {
		case v.compute != nil:
			v.number = v.compute(in)
		case v.histogram.window == nil:
			exemplars := v.histogram.Exemplars
			v.histogram.Histogram = in.pulse.distribution
			v.histogram.Exemplars = exemplars
		case v.histogram.Counts == nil || v.histogram.window.total > 0:
			rebucket(&v.histogram.Histogram, v.histogram.window.last, v.histogram.window.bounds)
		}
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

// Metrics returns the metrics of the Reader, in order. The slice must not be changed.
func (r *Reader) Metrics() []*runtimeinfo.Metric { return r.catalogue.Metrics() }

// Snapshot returns the result of the last Read as an immutable copy: a few
// allocations of a few kilobytes in all.
func (r *Reader) Snapshot() *runtimeinfo.Snapshot {
	r.seq++
	r.builder = runtimeinfo.NewBuilder(r.catalogue, runtimeinfo.Snapshot{
		Seq: r.seq, Time: r.reading.tick.Time, Start: r.start, Resource: r.resource,
	}, r.builder)
	d := r.builder.Draft()
	r.AddTo(d)
	r.builder.Merge(d)
	return r.builder.Snapshot()
}

// AddTo adds the result of the last Read to a snapshot of which the catalogue has the
// metrics of r. It must be called once after each Read.
func (r *Reader) AddTo(d *runtimeinfo.Draft) {
	if t := &r.reading.tick; t.Span != nil {
		r.takeExemplars(runtimeinfo.Exemplar{TraceID: t.Span.TraceID, SpanID: t.Span.SpanID, Time: t.Time})
	}
	r.addValues(d)
}

// addValues adds the values of the last Read. Histograms are copied into one block.
func (r *Reader) addValues(d *runtimeinfo.Draft) {
	histograms, counts := 0, 0
	for i := range r.values {
		if h := r.values[i].histogram; h != nil {
			histograms, counts = histograms+1, counts+len(h.Counts)
		}
	}
	hs, block := make([]runtimeinfo.Histogram, 0, histograms), make([]uint64, 0, counts)
	for i := range r.values {
		v := &r.values[i]
		v.before = v.number
		if v.compute != nil {
			if !math.IsNaN(v.number) && !math.IsInf(v.number, 0) {
				d.AddPoint(runtimeinfo.Point{Metric: v.metric, Number: v.number, Exemplar: v.exemplar})
			}
			continue
		}
		if v.histogram.Counts == nil {
			continue
		}
		h, at := v.histogram.Histogram, len(block)
		block = append(block, h.Counts...)
		h.Counts = block[at:len(block):len(block)]
		hs = append(hs, h)
		d.AddPoint(runtimeinfo.Point{Metric: v.metric, Histogram: &hs[len(hs)-1]})
	}
}
