// SPDX-License-Identifier: Apache-2.0

// Package sampler reads the Go runtime and the host into snapshots.
//
//	r := sampler.NewReader(sampler.Config{})
//	r.Read(sampler.Tick{Time: time.Now()})
//	n, _ := r.Snapshot().Number("go.goroutine.count")
//
// Most programs use package agent instead, which takes a sample every second.
//
// Sampling does not stop the world: the values of runtime.MemStats come from runtime/metrics. A
// Read takes a few microseconds, which do not depend on the number of goroutines or the size of the
// heap. It does not allocate after the first call (BenchmarkRead).
package sampler

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Config configures a [Reader]. The zero value is ready to use.
type Config struct {
	// Resource describes the process in every snapshot, for example with service.name. nil
	// means no attributes.
	Resource []runtimeinfo.Attr
}

// Reader samples the process. Use [NewReader] to make one. It is not safe for concurrent use, except
// for [Reader.Pulse].
type Reader struct {
	resource []runtimeinfo.Attr
	start    time.Time
	pulse    *pulse
	seq      uint64

	catalogue *runtimeinfo.Catalogue
	values    []value
	windows   []*window
	reading   reading
	builder   runtimeinfo.Builder // of Snapshot
}

// value has a metric and its newest value.
type value struct {
	metric    *runtimeinfo.Metric
	compute   func(*reading) float64 // of number; nil for a histogram
	number    float64
	histogram *histogram // nil for a number

	before   float64 // number in the last snapshot
	exemplar *runtimeinfo.Exemplar
}

// histogram has the newest value of a histogram.
type histogram struct {
	runtimeinfo.Histogram
	window *window // of the runtime/metrics histogram; nil for the histogram of the pulses
}

// NewReader returns a Reader. Metrics that this version of Go does not have are absent from its
// snapshots.
func NewReader(c Config) *Reader {
	r := &Reader{
		resource: slices.Clone(c.Resource),
		start:    time.Now(),
		pulse:    newPulse(),
	}
	metrics := Metrics()
	for i, row := range table() {
		r.add(metrics[i], row.source)
	}
	var err error
	if r.catalogue, err = runtimeinfo.NewCatalogue(metrics...); err != nil {
		panic(err) // a mistake in the table, which a test would find
	}
	return r
}

// add adds a metric.
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

// samples returns the indexes of the samples with the given keys.
func (r *Reader) samples(keys []string) []int {
	indexes := make([]int, len(keys))
	for i, k := range keys {
		indexes[i] = r.sample(k)
	}
	return indexes
}

// sample returns the index of the sample with the given key. It adds one if necessary.
func (r *Reader) sample(key string) int {
	all := &r.reading.samples
	i := slices.IndexFunc(*all, func(s metrics.Sample) bool { return s.Name == key })
	if i < 0 {
		i = len(*all)
		*all = append(*all, metrics.Sample{Name: key})
	}
	return i
}

// Pulse reads the state of the scheduler between two ticks. The next snapshot has the minimum, mean
// and maximum of these readings. lateness is the delay after which the calling goroutine woke up,
// negative if unknown. Pulse is safe for concurrent use. It takes about 0.1 µs and does not
// allocate.
func (r *Reader) Pulse(lateness time.Duration) { r.pulse.beat(lateness) }

// Read takes a sample. It does not stop the world, and does not allocate after the first call.
func (r *Reader) Read(t Tick) {
	in := &r.reading
	in.tick = t
	in.sched = r.pulse.beat(-1)
	r.pulse.take(&in.pulse)
	in.repairs += in.pulse.repairs
	metrics.Read(in.samples)
	in.cpu.advance(t.Time, cputime.Process())
	debug.ReadGCStats(&in.gc)
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

// Metrics returns the metrics of the Reader, in order. The caller must not change the slice.
func (r *Reader) Metrics() []*runtimeinfo.Metric { return r.catalogue.Metrics() }

// Snapshot returns the result of the last Read as an immutable copy. It allocates a few kilobytes.
func (r *Reader) Snapshot() *runtimeinfo.Snapshot {
	r.seq++
	b := r.builder.Reset(r.catalogue, runtimeinfo.Snapshot{
		Seq: r.seq, Time: r.reading.tick.Time, Start: r.start, Resource: r.resource,
	})
	d := b.Draft()
	r.AddTo(d)
	b.Merge(d)
	return b.Snapshot()
}

// AddTo adds the result of the last Read to a snapshot, whose catalogue must have the metrics of r.
// Call it once after each Read.
func (r *Reader) AddTo(d *runtimeinfo.Draft) {
	if t := &r.reading.tick; t.Span != nil {
		r.takeExemplars(runtimeinfo.Exemplar{TraceID: t.Span.TraceID, SpanID: t.Span.SpanID, Time: t.Time})
	}
	r.addValues(d)
}

// addValues adds the values of the last Read. It allocates all copies of histograms at once.
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
