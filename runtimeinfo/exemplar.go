// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"math"
	"slices"
	"time"
)

// Exemplar is one observation of a counter or a histogram together with a trace to
// look into. The observation is the process's, not the span's: the span was
// active when it was made, no more, which is why exporters mark exemplars with
// [ExemplarRelation]. It is immutable.
type Exemplar struct {
	TraceID [16]byte
	SpanID  [8]byte
	// Value is what a counter gained in the tick, or an observation that lies
	// within the bucket of a histogram that grew.
	Value float64
	// Time is the tick's.
	Time time.Time
}

// Exporters add this label to the ids of an exemplar.
const (
	ExemplarRelationKey = "relation"
	ExemplarRelation    = "concurrent" // the span was active at the time
)

// exemplars keeps the last exemplar of each counter and of each bucket of each
// histogram, until there is a newer one: scrapes are rarer than ticks. It belongs
// to [Reader.Snapshot].
type exemplars struct {
	slots      []int       // of the counters that have any
	before     []float64   // the numbers at the last snapshot
	numbers    []*Exemplar // by Metric.slot; replaced, never changed
	histograms [][]*Exemplar
}

// follow takes a metric of the catalogue.
func (x *exemplars) follow(m *Metric) {
	if m.hasExemplars() {
		x.slots = append(x.slots, m.slot)
	}
}

// advance takes what grew since the last snapshot. span is the one to point at, nil for none.
func (x *exemplars) advance(r *Reader, span *Span) {
	if span != nil {
		of := Exemplar{TraceID: span.TraceID, SpanID: span.SpanID, Time: r.reading.tick.Time}
		x.counters(r, of)
		x.distributions(r, of)
	}
	x.before = append(x.before[:0], r.numbers...)
}

// hasExemplars leaves out counters of the machine's and of the agent's own: no
// request of this process explains those.
func (m *Metric) hasExemplars() bool {
	if m.Kind != KindCounter || m.Keys != nil {
		return false
	}
	switch m.Subsystem {
	case SubsystemScheduler, SubsystemMemory, SubsystemGC, SubsystemCPU, SubsystemProcess, SubsystemContainer:
		return true
	default:
		return false
	}
}

func (x *exemplars) counters(r *Reader, of Exemplar) {
	next := make([]*Exemplar, len(r.numbers))
	copy(next, x.numbers)
	block := make([]Exemplar, 0, len(x.slots)) // one allocation for all
	for _, slot := range x.slots {
		if slot >= len(x.before) {
			continue
		}
		gained := r.numbers[slot] - x.before[slot]
		if !(gained > 0) || math.IsInf(gained, 0) { // also where either is absent
			continue
		}
		of.Value = gained
		block = append(block, of)
		next[slot] = &block[len(block)-1]
	}
	x.numbers = next
}

func (x *exemplars) distributions(r *Reader, of Exemplar) {
	next := make([][]*Exemplar, len(r.histograms))
	copy(next, x.histograms)
	for i := range r.rows {
		w := &r.rows[i]
		switch w.form {
		case formRebucket:
			next[w.slot] = withWindow(next[w.slot], &r.histograms[w.slot], w.window, of)
		case formDistribution:
			if w.metric.source.observed == nil {
				continue
			}
			if v := w.metric.source.observed(&r.reading); !math.IsNaN(v) {
				next[w.slot] = withExemplar(slices.Clone(next[w.slot]), &r.histograms[w.slot], v, of)
			}
		default:
		}
	}
	x.histograms = next
}

// withWindow returns exemplars with one for each bucket of h that the window has
// observations in: the greatest of them, as exactly as the runtime tells.
func withWindow(old []*Exemplar, h *Histogram, w *window, of Exemplar) []*Exemplar {
	if w.total == 0 || h.Counts == nil {
		return old
	}
	next, last := slices.Clone(old), -1
	for i, n := range slices.Backward(w.delta) {
		lo, hi := finite(w.bounds[i], w.bounds[i+1])
		v := lo + (hi-lo)/2
		if n == 0 || h.bucket(v) == last {
			continue
		}
		last = h.bucket(v)
		next = withExemplar(next, h, v, of)
	}
	return next
}

// withExemplar sets the exemplar of the bucket that holds v.
func withExemplar(all []*Exemplar, h *Histogram, v float64, of Exemplar) []*Exemplar {
	if len(all) != len(h.Counts) {
		all = make([]*Exemplar, len(h.Counts))
	}
	of.Value = v
	all[h.bucket(v)] = &of
	return all
}

// exemplarSpan returns the oldest span whose trace can be found later, nil for none.
func exemplarSpan(a *SpanActivity) *Span {
	if a == nil {
		return nil
	}
	i := slices.IndexFunc(a.Active, func(s Span) bool { return s.Sampled })
	if i < 0 {
		return nil
	}
	return &a.Active[i]
}
