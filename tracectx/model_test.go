// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// A model computes the expected results from a map of spans.
type model struct {
	t    testing.TB
	p    *tracectx.Processor
	now  time.Time
	ttl  time.Duration
	live map[[2]uint64]*modelSpan
	want counts

	ended map[string][]time.Duration // by name, since the last observation
	sum   map[string]uint64          // ended by name, ever
}

type modelSpan struct {
	*fakeSpan
	seen  time.Time // zero until observed
	shown string    // its name, or other
}

// The model has six names: four short ones, and two that are too long.
const modelNames = 4

func modelName(id uint8) string {
	if id %= 6; id >= modelNames {
		return strings.Repeat("x", 300) + strconv.Itoa(int(id))
	}
	return fmt.Sprint("n", id)
}

func shown(name string) string {
	if len(name) > 256 {
		return "other"
	}
	return name
}

func newModel(t testing.TB) *model {
	t.Helper()
	const ttl = time.Minute
	return &model{
		t: t, ttl: ttl,
		p:     newProcessor(t, tracectx.Config{TTL: ttl, MaxNames: modelNames}),
		now:   time.Now(),
		live:  map[[2]uint64]*modelSpan{},
		ended: map[string][]time.Duration{}, sum: map[string]uint64{},
	}
}

// do performs one operation. It uses few ids, so that they recur.
func (m *model) do(op, traceID, spanID uint8) {
	id := [2]uint64{uint64(traceID % 8), uint64(spanID % 128)}
	span := root(id[0], id[1], modelName(spanID))
	span.start = m.now
	switch op % 16 {
	case 0, 1, 2, 3, 4, 5, 6:
		m.start(id, span)
	case 7, 8, 9, 10, 11:
		m.end(id, span)
	case 12: // renamed
		span.name = modelName(spanID + traceID/8)
		m.end(id, span)
	case 13:
		m.notRoot(span)
	case 14:
		m.now = m.now.Add(time.Duration(traceID) * time.Second / 8)
	case 15:
		m.observe()
	}
}

func (m *model) start(id [2]uint64, span *fakeSpan) {
	m.p.OnStart(m.t.Context(), span)
	if m.live[id] == nil {
		m.live[id] = &modelSpan{fakeSpan: span, shown: shown(span.name)}
		m.want.started++
	}
}

func (m *model) end(id [2]uint64, span *fakeSpan) {
	m.p.OnEnd(span)
	if live := m.live[id]; live != nil {
		delete(m.live, id)
		m.want.ended++
		name := shown(span.name)
		m.sum[name]++
		m.ended[name] = append(m.ended[name], span.start.Sub(live.start))
	}
}

func (m *model) notRoot(span *fakeSpan) {
	span.parent = spanContext(99, 99)
	m.p.OnStart(m.t.Context(), span)
	m.p.OnEnd(span)
}

func (m *model) observe() {
	m.t.Helper()
	lost := 0
	for id, span := range m.live {
		if span.seen.IsZero() {
			span.seen = m.now
		}
		if m.now.Sub(span.seen) >= m.ttl {
			delete(m.live, id)
			lost++
		}
	}
	m.want.neverEnded += uint64(lost)
	m.want.active = len(m.live)
	a := m.p.Observe(m.now)
	got := counts{0, a.Started, a.Ended, a.Untracked, a.NeverEnded}
	for _, g := range a.Groups {
		got.active += g.Active
	}
	if got != m.want {
		m.t.Fatalf("got  %+v\nwant %+v", got, m.want)
	}
	if len(a.Events) != min(lost, 8) || len(a.Groups) > 5 {
		m.t.Fatalf("%d events of %d, %d groups", len(a.Events), lost, len(a.Groups))
	}
	m.checkSpans(a.Active)
	m.checkGroups(a.Groups)
	clear(m.ended)
}

// checkGroups checks the counts of all names that have or had spans.
func (m *model) checkGroups(groups []runtimeinfo.SpanGroup) {
	m.t.Helper()
	want := map[string]*runtimeinfo.SpanGroup{}
	for name := range m.sum {
		want[name] = &runtimeinfo.SpanGroup{Name: name}
	}
	for _, span := range m.live {
		if want[span.shown] == nil {
			want[span.shown] = &runtimeinfo.SpanGroup{Name: span.shown}
		}
		g := want[span.shown]
		g.Active++
		g.Ages[modelAge(m.now.Sub(span.start))]++
		if g.Oldest.IsZero() || span.start.Before(g.Oldest) {
			g.Oldest = time.Unix(0, span.start.UnixNano())
		}
	}
	if len(groups) != len(want) {
		m.t.Fatalf("%d groups, want %d", len(groups), len(want))
	}
	for _, got := range groups {
		g := want[got.Name]
		if g == nil {
			m.t.Fatalf("group %+v without spans", got)
		}
		g.Ended = m.sum[got.Name]
		g.TickP50, g.TickP99 = modelQuantile(m.ended[got.Name], 0.5), modelQuantile(m.ended[got.Name], 0.99)
		g.P50, g.P99 = got.P50, got.P99 // see TestQuantilesFade
		if g.Ended > 0 && (got.Durations == nil || got.Durations.Count() > g.Ended) {
			m.t.Fatalf("group %s: durations %+v of %d spans", g.Name, got.Durations, g.Ended)
		}
		g.Durations = got.Durations // see TestDurations
		if got != *g {
			m.t.Fatalf("got  %+v\nwant %+v", got, *g)
		}
	}
}

// modelAge returns the bucket of an age: the number of doublings from one second.
func modelAge(age time.Duration) (i int) {
	for limit := time.Second; i < runtimeinfo.SpanAges-1 && age >= limit; limit *= 2 {
		i++
	}
	return i
}

// modelQuantile returns the q-quantile, rounded up to a quarter of a doubling.
func modelQuantile(of []time.Duration, q float64) time.Duration {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	d := of[int(math.Ceil(q*float64(len(of))))-1]
	step := time.Microsecond
	for d >= 8*step {
		step *= 2
	}
	return d - d%step + step
}

// checkSpans checks that the listed spans are active, distinct, in order, and the oldest.
func (m *model) checkSpans(spans []runtimeinfo.Span) {
	m.t.Helper()
	if len(spans) != min(len(m.live), runtimeinfo.MaxSpans) {
		m.t.Fatalf("%d spans of %d", len(spans), len(m.live))
	}
	listed := map[[2]uint64]bool{}
	for i, span := range spans {
		id := [2]uint64{binary.BigEndian.Uint64(span.TraceID[8:]), binary.BigEndian.Uint64(span.SpanID[:])}
		if live := m.live[id]; live == nil || listed[id] || !live.start.Equal(span.Start) {
			m.t.Fatalf("span %v is not active, listed twice, or has another start", id)
		}
		if i > 0 && span.Start.Before(spans[i-1].Start) {
			m.t.Fatalf("span %d is older than its predecessor", i)
		}
		listed[id] = true
	}
	for id, span := range m.live {
		if !listed[id] && span.start.Before(spans[len(spans)-1].Start) {
			m.t.Fatalf("span %v is older than the last listed one", id)
		}
	}
}

// finish ends the active spans and checks that none is left.
func (m *model) finish() {
	m.t.Helper()
	m.observe()
	for id, span := range m.live {
		m.end(id, span.fakeSpan)
	}
	m.observe()
}

func TestProcessorEqualsModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // reproducible on purpose
		m := newModel(t)
		for range 5000 {
			m.do(uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()))
		}
		m.finish()
	}
}

func FuzzProcessor(f *testing.F) {
	f.Add([]byte{0, 1, 1, 15, 0, 0, 7, 1, 1})
	f.Add([]byte{0, 1, 1, 0, 2, 1, 15, 0, 0, 14, 255, 0, 14, 255, 0, 15, 0, 0, 7, 1, 1})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 13, 0, 0, 7, 0, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		m := newModel(t)
		for ; len(ops) >= 3; ops = ops[3:] {
			m.do(ops[0], ops[1], ops[2])
		}
		m.finish()
	})
}

// TestOverflowCountsUntracked uses a table that is too small. Which spans find room is not
// known, only the sum.
func TestOverflowCountsUntracked(t *testing.T) {
	p := newProcessor(t, tracectx.Config{Capacity: 8})
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	live := map[uint64]*fakeSpan{}
	var started uint64
	most := 0
	for i := range uint64(20_000) {
		if key := r.Uint64N(300) + 1; live[key] == nil {
			live[key] = root(i+1, key, "a")
			p.OnStart(t.Context(), live[key])
			started++
		} else {
			p.OnEnd(live[key])
			delete(live, key)
		}
		if i%100 == 0 {
			c, _ := observe(t, p)
			if c.started != started || c.active > len(live) {
				t.Fatalf("%+v with %d started and %d live", c, started, len(live))
			}
			most = max(most, c.active)
		}
	}
	if most > 100 {
		t.Errorf("%d active in a table for 8", most)
	}
	for _, span := range live {
		p.OnEnd(span)
	}
	if c, _ := observe(t, p); c.active != 0 || c.untracked == 0 {
		t.Errorf("%+v", c)
	}
}
