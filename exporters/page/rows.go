// SPDX-License-Identifier: Apache-2.0

package page

import (
	"math"
	"slices"
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
	// maxSkipped is the number of points of the last snapshot that column expects to be absent before
	// the next one. It bounds the search.
	maxSkipped = 128
)

// rowBuilder turns snapshots into rows of a history: a column for each number and for
// each series with labels. Counters become rates per second. It is not safe for
// concurrent use.
type rowBuilder struct {
	history    *history
	series     map[string]int    // number of columns of a metric with labels, by its key
	bands      map[string][3]int // columns of a baseline by its signal
	places     []place           // of the points of the last snapshot, in their order
	spare      []place           // reused for the places of the next snapshot
	host, tick rates             // of the counters that the host pass reads, and of those that each tick reads
}

// place is the column of a point.
type place struct {
	metric *runtimeinfo.Metric
	labels []string
	column int // -1 if there was none left; columns are never freed
}

func newRowBuilder(h *history) *rowBuilder {
	return &rowBuilder{history: h, series: map[string]int{}, bands: map[string][3]int{}}
}

// row returns the row of a snapshot.
func (b *rowBuilder) row(snap *runtimeinfo.Snapshot) []float32 {
	row := make([]float32, 0, len(b.history.index)+8)
	set := func(c int, v float64) { row = withValue(row, c, v) }
	known := b.places
	b.places, b.spare = b.spare[:0], known
	for p := range snap.Points() {
		// Histograms have quantiles as numbers of their own; groupLog keeps groups.
		if p.Histogram != nil || p.Metric.Subsystem == runtimeinfo.SubsystemLeaks && p.Metric.Keys != nil {
			continue
		}
		var c int
		c, known = b.column(p, known)
		if p.Metric.Kind == runtimeinfo.KindCounter {
			b.ratesOf(p.Metric).add(c, p.Number)
		} else {
			set(c, p.Number)
		}
	}
	for i := range snap.Bands[:min(len(snap.Bands), maxSignals)] { // signals of the process come first
		if band := &snap.Bands[i]; !band.Learning {
			c := b.bandColumns(band.Signal)
			set(c[0], band.Expected)
			set(c[1], band.Lower)
			set(c[2], band.Upper)
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

// column returns the column of the next point of a snapshot, -1 if there is none left.
// known are the places of the last snapshot that can be the place of the point: snapshots
// have their points in the same order, so that it usually is the first. column also
// returns the places for the points that follow.
func (b *rowBuilder) column(p runtimeinfo.Point, known []place) (int, []place) {
	i := slices.IndexFunc(known[:min(len(known), maxSkipped)], func(x place) bool {
		return x.metric == p.Metric && slices.Equal(x.labels, p.Labels)
	})
	if i >= 0 {
		b.places = append(b.places, place{p.Metric, p.Labels, known[i].column})
		return known[i].column, known[i+1:]
	}
	c := b.newColumn(p)
	b.places = append(b.places, place{p.Metric, p.Labels, c})
	return c, known
}

// newColumn finds or adds the column of a point.
func (b *rowBuilder) newColumn(p runtimeinfo.Point) int {
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

// bandColumns returns the columns of a baseline, -1 if there is none left.
func (b *rowBuilder) bandColumns(signal string) [3]int {
	c, known := b.bands[signal]
	if !known {
		h := b.history
		c = [3]int{h.column(bandExpected + signal), h.column(bandLower + signal), h.column(bandUpper + signal)}
		if slices.Min(c[:]) >= 0 {
			b.bands[signal] = c
		}
	}
	return c
}

func (b *rowBuilder) ratesOf(m *runtimeinfo.Metric) *rates {
	switch m.Subsystem {
	case runtimeinfo.SubsystemProcess, runtimeinfo.SubsystemContainer, runtimeinfo.SubsystemSystem:
		return &b.host
	default:
		return &b.tick
	}
}

// rates turns counters that are read together into rates.
type rates struct {
	at      time.Time // of the last update
	all     []counter // by column
	current []int     // columns of the row that is being built
}

// counter is a counter in one column. The zero value has not been updated.
type counter struct {
	value float64 // of the row that is being built
	last  float64 // at the last update
	rate  float64 // per second, at the last update; NaN if there is none
	known bool    // whether there was an update
}

// add adds a counter to the row that is being built, unless c is -1.
func (r *rates) add(c int, v float64) {
	if c < 0 {
		return
	}
	for len(r.all) <= c {
		r.all = append(r.all, counter{})
	}
	r.all[c].value = v
	r.current = append(r.current, c)
}

// changed reports whether any counter differs from its last value. The host pass
// always changes some, so that false means that it did not run since.
func (r *rates) changed() bool {
	return slices.ContainsFunc(r.current, func(c int) bool { return r.all[c].value != r.all[c].last })
}

// update computes and sets the rates since the last update. A counter that is new or
// fell has no rate.
func (r *rates) update(now time.Time, set func(int, float64)) {
	seconds := now.Sub(r.at).Seconds()
	for _, c := range r.current {
		x := &r.all[c]
		x.rate = math.NaN()
		if x.known && x.value >= x.last && seconds > 0 {
			x.rate = (x.value - x.last) / seconds
		}
		x.last, x.known = x.value, true
	}
	r.at = now
	r.repeat(set)
}

// repeat sets the rates of the last update.
func (r *rates) repeat(set func(int, float64)) {
	for _, c := range r.current {
		if x := &r.all[c]; x.known {
			set(c, x.rate)
		}
	}
	r.current = r.current[:0]
}
