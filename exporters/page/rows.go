// SPDX-License-Identifier: Apache-2.0

package page

import (
	"math"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Prefixes of the columns with the expectation of a baseline. The name of the signal
// follows.
const (
	bandExpected = "band.expected:"
	bandLower    = "band.lower:"
	bandUpper    = "band.upper:"
)

const (
	// maxSeries is the number of series of one metric that get columns.
	maxSeries = 64
	// maxSignals is the number of signals whose bands get columns.
	maxSignals = 20
)

// rowBuilder turns snapshots into rows of a history: a column for each number and for
// each series with labels. Counters become rates per second. It is not safe for
// concurrent use.
type rowBuilder struct {
	history *history
	series  map[string]int // number of columns of a metric with labels, by its key
	host    rates          // of the counters that the host pass reads
	tick    rates          // of the counters that each tick reads
}

func newRowBuilder(h *history) *rowBuilder {
	return &rowBuilder{history: h, series: map[string]int{}, host: newRates(), tick: newRates()}
}

// row returns the row of a snapshot.
func (b *rowBuilder) row(snap *runtimeinfo.Snapshot) []float32 {
	row := make([]float32, 0, len(b.history.index)+8)
	set := func(c int, v float64) { row = withValue(row, c, v) }
	for p := range snap.Points() {
		// Histograms have quantiles as numbers of their own; groupLog keeps groups.
		if p.Histogram != nil || p.Metric.Subsystem == runtimeinfo.SubsystemLeaks && p.Metric.Keys != nil {
			continue
		}
		c := b.column(p)
		if p.Metric.Kind == runtimeinfo.KindCounter {
			b.ratesOf(p.Metric).current[c] = p.Number
		} else {
			set(c, p.Number)
		}
	}
	for i := range snap.Bands[:min(len(snap.Bands), maxSignals)] { // signals of the process come first
		if band := &snap.Bands[i]; !band.Learning {
			set(b.history.column(bandExpected+band.Signal), band.Expected)
			set(b.history.column(bandLower+band.Signal), band.Lower)
			set(b.history.column(bandUpper+band.Signal), band.Upper)
		}
	}
	b.tick.update(snap.Time, set)
	if b.host.changed() {
		b.host.update(snap.Time, set)
	} else {
		b.host.repeat(set)
	}
	return row
}

// withValue sets a value of a row and extends the row if need be. It ignores values
// without a column and those that a float32 cannot hold.
func withValue(row []float32, c int, v float64) []float32 {
	f := float32(v)
	if c < 0 || math.IsInf(float64(f), 0) {
		return row
	}
	for len(row) <= c {
		row = append(row, absent())
	}
	row[c] = f
	return row
}

// column returns the column of a point, -1 if there is none left.
func (b *rowBuilder) column(p runtimeinfo.Point) int {
	key := p.Metric.Key()
	if p.Metric.Keys == nil {
		return b.history.column(key)
	}
	name := key + "{" + strings.Join(p.Labels, ",") + "}"
	if _, known := b.history.index[name]; !known {
		if b.series[key] == maxSeries {
			return -1
		}
		b.series[key]++
	}
	return b.history.column(name)
}

func (b *rowBuilder) ratesOf(m *runtimeinfo.Metric) *rates {
	switch m.Subsystem {
	case runtimeinfo.SubsystemProcess, runtimeinfo.SubsystemContainer, runtimeinfo.SubsystemSystem:
		return &b.host
	default:
		return &b.tick
	}
}

// rates turns counters that are read together into rates. All maps are by column.
type rates struct {
	at      time.Time       // of last
	last    map[int]float64 // counters
	current map[int]float64 // counters of the row that is being built
	rate    map[int]float64 // per second, at the last update
}

func newRates() rates {
	return rates{last: map[int]float64{}, current: map[int]float64{}, rate: map[int]float64{}}
}

// changed reports whether any counter differs from its last value. The host pass
// always changes some, so that false means that it did not run since.
func (r *rates) changed() bool {
	for c, v := range r.current {
		if v != r.last[c] {
			return true
		}
	}
	return false
}

// update computes and sets the rates since the last update. A counter that is new or
// fell has no rate.
func (r *rates) update(now time.Time, set func(int, float64)) {
	seconds := now.Sub(r.at).Seconds()
	for c, v := range r.current {
		last, known := r.last[c]
		delete(r.rate, c)
		if known && v >= last && seconds > 0 {
			r.rate[c] = (v - last) / seconds
		}
		r.last[c] = v
	}
	r.at = now
	r.repeat(set)
}

// repeat sets the rates of the last update.
func (r *rates) repeat(set func(int, float64)) {
	for c := range r.current {
		if rate, ok := r.rate[c]; ok {
			set(c, rate)
		}
	}
	clear(r.current)
}
