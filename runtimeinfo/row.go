// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"math"
	"runtime/metrics"

	"github.com/gmpulse/gmpulse/runtimeinfo/host"
)

// row is one metric of the table with one value, its source resolved: all that a
// sample has to know of it in one line of the processor's cache, for a sampler that
// wakes once a second finds that cold.
type row struct {
	form             form
	adds, subs, divs uint8 // how many terms there are of each, in this order
	terms            int32 // where in Reader.terms those of this row begin
	slot             int32
	index            int32 // of a host field or a gauge
	quantile         float64
	window           *window
	number           func(*reading) float64
	distribution     func(*reading) *Histogram
	metric           *Metric
}

// labelled is one metric of the table with several values.
type labelled struct {
	metric *Metric
	series func(*Tick, *emitter)
}

// form is how a row gets its value.
type form uint8

const (
	formTerms form = iota + 1
	formRebucket
	formQuantile
	formField
	formNumber
	formDistribution
	formGauge
)

// resolve makes the row of a metric; index has the samples known so far by key.
func (r *Reader) resolve(m *Metric, index map[string]int) row {
	src := m.source
	w := row{metric: m, slot: int32(m.slot), quantile: src.quantile, number: src.number, distribution: src.distribution, terms: int32(len(r.terms))}
	w.adds, w.subs, w.divs = r.resolveTerms(src.add, index), r.resolveTerms(src.sub, index), r.resolveTerms(src.over, index)
	if src.histogram != "" {
		w.window = r.resolveWindow(src.histogram, index)
	}
	switch {
	case src.add != nil:
		w.form = formTerms
	case src.bounds != nil:
		w.form = formRebucket
	case w.window != nil:
		w.form = formQuantile
	case src.isField:
		w.form, w.index = formField, int32(src.field)
	case src.number != nil:
		w.form = formNumber
	case src.distribution != nil:
		w.form = formDistribution
	case src.gauge:
		w.form, w.index = formGauge, int32(r.gauges)
		r.gauges++
	}
	return w
}

func (r *Reader) resolveTerms(keys []string, index map[string]int) uint8 {
	for _, k := range keys {
		r.terms = append(r.terms, int32(r.sample(k, index)))
	}
	return uint8(len(keys))
}

// advance is a histogram of the runtime's and the window that it moves on.
type advance struct {
	sample int
	window *window
}

// resolveWindow returns the window of a histogram, the same one to all its rows.
func (r *Reader) resolveWindow(key string, index map[string]int) *window {
	i := r.sample(key, index)
	for _, a := range r.advancing {
		if a.sample == i {
			return a.window
		}
	}
	w := new(window)
	r.advancing = append(r.advancing, advance{i, w})
	return w
}

// sample returns the index of the sample with a key, a new one where there is none.
func (r *Reader) sample(key string, index map[string]int) int {
	i, ok := index[key]
	if !ok {
		i = len(r.reading.samples)
		index[key] = i
		r.reading.samples = append(r.reading.samples, metrics.Sample{Name: key})
	}
	return i
}

// evaluate gives a row its value of this tick.
func (r *Reader) evaluate(w *row) {
	in := &r.reading
	switch w.form {
	case formTerms:
		r.numbers[w.slot] = in.combine(w, r.terms[w.terms:])
	case formRebucket:
		if h := &r.histograms[w.slot]; h.Counts == nil || w.window.total > 0 {
			h.rebucket(w.window.last, w.window.bounds)
		}
	case formQuantile:
		r.numbers[w.slot] = w.window.quantile(w.quantile)
	case formField:
		v, ok := in.tick.Host.Get(host.Field(w.index))
		if !ok {
			v = math.NaN()
		}
		r.numbers[w.slot] = v
	case formNumber:
		r.numbers[w.slot] = w.number(in)
	case formDistribution:
		r.histograms[w.slot] = *w.distribution(in)
	case formGauge:
		r.numbers[w.slot] = math.NaN()
		if i := int(w.index); i < len(in.tick.Gauges) && !math.IsInf(in.tick.Gauges[i], 0) {
			r.numbers[w.slot] = in.tick.Gauges[i]
		}
	}
}

// combine is the sum of a row's samples. Below zero it is zero: the parts of a
// difference are not read at one instant.
func (r *reading) combine(w *row, terms []int32) float64 {
	v := r.sum(terms[:w.adds])
	if terms = terms[w.adds:]; w.subs > 0 {
		v -= r.sum(terms[:w.subs])
	}
	if v < 0 {
		v = 0
	}
	if terms = terms[w.subs:]; w.divs == 0 {
		return v
	}
	over := r.sum(terms[:w.divs])
	if over == 0 {
		return math.NaN()
	}
	return v / over
}
