// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/testutil"
)

// profileOf returns a profile with one sample for each count. The stack of each sample is the
// given one, leaf first, and a function of its own.
func profileOf(stack []string, counts []int) *profile.Profile {
	p := &profile.Profile{}
	below := make([]*profile.Location, len(stack))
	for i, f := range stack {
		below[i] = locationOf(f)
	}
	for i, n := range counts {
		own := locationOf(fmt.Sprintf("main.f%05d", i))
		p.Sample = append(p.Sample, &profile.Sample{
			Location: append(slices.Clip(below), own),
			Value:    []int64{int64(n)},
		})
	}
	return p
}

func locationOf(function string) *profile.Location {
	f := &profile.Function{Name: function, Filename: "/src/" + function + ".go"}
	return &profile.Location{Line: []profile.Line{{Function: f, Line: 12}}}
}

func parked() []string { return []string{"runtime.gopark", "runtime.chanrecv", "runtime.chanrecv1"} }

func TestGroupsAreBounded(t *testing.T) {
	const groups, bound = 12_000, 10_000
	counts := make([]int, groups)
	for i := range counts {
		counts[i] = 1 + i%3
	}
	counts[11_999] = 100
	stack := parked()
	for i := range 40 { // more than a survey keeps
		stack = append(stack, "runtime.deep"+strconv.Itoa(i))
	}
	p := profileOf(stack, counts)

	before := int(testutil.HeapAlloc())
	s := newGrouper(SurveyConfig{}, "").survey(p)
	held := int(testutil.HeapAlloc()) - before
	runtime.KeepAlive(p)

	// 4,000 groups each of 1, 2 and 3 members; one has 100 instead of 3.
	if want := 4000*6 + 97; s.Goroutines != want {
		t.Errorf("%d goroutines, want %d", s.Goroutines, want)
	}
	if len(s.Groups) != bound || s.Groups[0].Count != 100 || s.Groups[0].Entry != "main.f11999" {
		t.Errorf("%d groups, the first %v", len(s.Groups), s.Groups[0].Key)
	}
	if s.Rest != groups-bound { // groups of one
		t.Errorf("rest %d, want %d", s.Rest, groups-bound)
	}
	if a, b := s.Groups[1].Entry, s.Groups[2].Entry; a != "main.f00002" || b != "main.f00005" {
		t.Errorf("equal groups are not in the order of their keys: %s before %s", a, b)
	}
	if perGroup := held / bound; perGroup > 2400 {
		t.Errorf("a group holds %d bytes", perGroup)
	}
}

func TestOriginsAreBounded(t *testing.T) {
	p := &profile.Profile{}
	for i := range 300 {
		n := int64(1)
		if i == 299 {
			n = 7
		}
		p.Sample = append(p.Sample, &profile.Sample{
			Location: []*profile.Location{locationOf("main.f")},
			Value:    []int64{n},
			Label:    map[string][]string{"epoch": {fmt.Sprintf("%03d", i)}},
		})
	}
	s := newGrouper(SurveyConfig{EpochLabel: "epoch"}, "").survey(p)
	g := s.Groups[0]
	if len(s.Groups) != 1 || g.Count != 306 || len(g.Origins) != 256 {
		t.Fatalf("%d groups; %d goroutines, %d origins", len(s.Groups), g.Count, len(g.Origins))
	}
	if g.Origins[0] != (Origin{Epoch: "299", Count: 7}) || g.Origins[1] != (Origin{Epoch: "000", Count: 1}) {
		t.Errorf("the first origins: %v", g.Origins[:2])
	}
}

func TestSamplesWithoutFrames(t *testing.T) {
	p := &profile.Profile{Sample: []*profile.Sample{
		{Value: []int64{2}}, // the profiler drops runtime.goexit
		{Value: []int64{3}, Location: []*profile.Location{{Line: []profile.Line{{}}}}}, // C
	}}
	s := newGrouper(SurveyConfig{}, "").survey(p)
	if len(s.Groups) != 1 || s.Groups[0].Key != (Key{}) || s.Groups[0].Count != 5 {
		t.Errorf("groups: %v", s.Groups)
	}
}

// Inlined calls share a location, the innermost first.
func TestInlinedFrames(t *testing.T) {
	inlined := locationOf("main.inner")
	inlined.Line = append(inlined.Line, locationOf("main.outer").Line...)
	p := &profile.Profile{Sample: []*profile.Sample{{
		Value:    []int64{1},
		Location: []*profile.Location{locationOf("runtime.selectgo"), inlined},
	}}}
	want := Key{Select, Site{"main.inner", "/src/main.inner.go", 12}, "main.outer"}
	if got := newGrouper(SurveyConfig{}, "").survey(p).Groups[0].Key; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPauseOf(t *testing.T) {
	group := func(c WaitClass, n int, function string) Group {
		return Group{Key: Key{Class: c, Site: Site{Function: function}}, Count: n}
	}
	spread := func(c WaitClass, groups, each int) (gs []Group) {
		for i := range groups {
			gs = append(gs, group(c, each, strconv.Itoa(i)))
		}
		return gs
	}
	now := time.Now()
	for name, tt := range map[string]struct {
		last *Survey
		want error
	}{
		"no survey":               {nil, ErrTooCostly},
		"an old survey":           {&Survey{Time: now.Add(-2 * time.Minute)}, ErrTooCostly},
		"no goroutines":           {&Survey{Time: now}, nil},
		"many goroutines":         {&Survey{Time: now, Goroutines: 100_001}, ErrTooCostly},
		"many at a channel":       {&Survey{Time: now, Groups: []Group{group(ChanSend, 50_000, "")}}, nil},
		"a thousand at a mutex":   {&Survey{Time: now, Groups: []Group{group(Mutex, 1000, "")}}, nil},
		"more at a mutex":         {&Survey{Time: now, Groups: []Group{group(Mutex, 1001, "")}}, ErrTooCostly},
		"more at a read lock":     {&Survey{Time: now, Groups: []Group{group(RWMutexRead, 1001, "")}}, ErrTooCostly},
		"more at a write lock":    {&Survey{Time: now, Groups: []Group{group(RWMutexWrite, 1001, "")}}, ErrTooCostly},
		"more at a wait group":    {&Survey{Time: now, Groups: []Group{group(WaitGroup, 1001, "")}}, ErrTooCostly},
		"more at a cond":          {&Survey{Time: now, Groups: []Group{group(Cond, 50_000, "")}}, nil},
		"a mutex at four places":  {&Survey{Time: now, Groups: spread(Mutex, 4, 1000)}, nil},
		"a mutex at many places":  {&Survey{Time: now, Groups: spread(Mutex, 41, 100)}, ErrTooCostly},
		"mutexes and wait groups": {&Survey{Time: now, Groups: append(spread(Mutex, 4, 1000), spread(WaitGroup, 4, 1000)...)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if err := pauseOf(tt.last); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
