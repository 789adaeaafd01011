// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/tracectx"
)

// traffic starts and ends roots, with one observation per second.
type traffic struct {
	t    *testing.T
	p    *tracectx.Processor
	now  time.Time
	next uint64
}

func (x *traffic) root(name string) *fakeSpan {
	x.next++
	s := root(1, x.next, name)
	s.start = x.now
	x.p.OnStart(x.t.Context(), s)
	return s
}

func (x *traffic) call(names ...string) {
	for _, name := range names {
		x.p.OnEnd(x.root(name))
	}
}

// second advances the clock by a second and returns the counts of all names.
func (x *traffic) second() map[string]uint64 {
	x.now = x.now.Add(time.Second)
	groups := map[string]uint64{}
	for _, g := range x.p.Observe(x.now).Groups {
		groups[g.Name] = g.Ended + uint64(g.Active)
	}
	return groups
}

// A scanner requests many paths before and while the routes of the service are called.
// The routes get an index and keep it.
func TestFrequentNamesReplaceRareOnes(t *testing.T) {
	x := &traffic{t: t, p: newProcessor(t, tracectx.Config{MaxNames: 20}), now: time.Now()}
	path := 0
	scan := func(n int) {
		for range n {
			path++
			x.call(fmt.Sprintf("GET /wp-%d/setup.php", path))
		}
	}
	scan(150)
	x.second()
	var groups map[string]uint64
	for range 60 {
		scan(10)
		x.call("POST /export", "POST /export", "POST /export", "GET /checkout", "GET /checkout")
		groups = x.second()
		if len(groups) > 21 {
			t.Fatalf("%d names", len(groups))
		}
	}
	if groups["POST /export"] < 150 || groups["GET /checkout"] < 100 {
		t.Errorf("of 180 and 120: %v", groups)
	}
	if _, ok := x.p.Origin("POST /export", "0"); !ok {
		t.Error("no origin of a name that replaced another")
	}
	for range 60 { // the same paths again and again
		for i := range 40 {
			x.call(fmt.Sprintf("GET /wp-%d/setup.php", i))
		}
		x.call("POST /export", "POST /export", "POST /export", "GET /checkout", "GET /checkout")
		groups = x.second()
	}
	if groups["POST /export"] < 300 || groups["GET /checkout"] < 200 {
		t.Errorf("frequent names were replaced: %v", groups)
	}
}

// A replaced name no longer has a group, but Origin still knows it. A name with an active
// span is not replaced.
func TestReplacedNames(t *testing.T) {
	x := &traffic{t: t, p: newProcessor(t, tracectx.Config{MaxNames: 2}), now: time.Now()}
	stays := x.root("stream")
	x.call("idle")
	for range 5 {
		for range 10 {
			x.call("busy")
		}
		x.second()
	}
	groups := x.second()
	if groups["stream"] != 1 || groups["busy"] == 0 || groups["idle"] != 0 {
		t.Errorf("names %v", groups)
	}
	if o, ok := x.p.Origin("idle", "0"); !ok || len(o.Names) != 1 || o.Names[0] != "idle" || len(o.Examples) != 1 {
		t.Errorf("origin %+v, %v", o, ok)
	}
	x.p.OnEnd(stays)
	for range 300 { // until the counts have faded
		x.second()
	}
	for range 3 {
		for range 10 {
			x.call("idle")
		}
		x.second()
	}
	groups = x.second()
	if groups["idle"] == 0 || groups["idle"] > 30 {
		t.Errorf("after it returned: %v", groups)
	}
	if o, _ := x.p.Origin("idle", "0"); len(o.Names) != 1 || len(o.Examples) != 1 {
		t.Errorf("origin after it returned: %+v", o)
	}
}

// Many goroutines start, rename and end roots while names are replaced. No span counts
// under a wrong name.
func TestReplacementNeverMixesNames(t *testing.T) {
	p := newProcessor(t, tracectx.Config{MaxNames: 4, Capacity: 1 << 14, TTL: 10_000 * time.Hour})
	rounds := 300
	if testing.Short() || testutil.RaceEnabled {
		rounds = 60
	}
	var mu sync.Mutex
	begun := map[string]uint64{} // by name, ever
	note := func(name string, n uint64) {
		mu.Lock()
		defer mu.Unlock()
		begun[name] += n
	}
	stop := make(chan struct{})
	var sum atomic.Uint64
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			for i := uint64(1); ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprint("n", i/50%40)
				final := name
				if i%3 == 0 {
					final = fmt.Sprint("n", (i/50+1)%40)
				}
				sum.Add(1)
				note(name, 1)
				if final != name {
					note(final, 1)
				}
				p.OnStart(context.Background(), root(g+1, i, name))
				p.OnEnd(root(g+1, i, final))
			}
		})
	}
	now := time.Now()
	served := map[string]bool{}
	for range rounds {
		for more := sum.Load() + 400; sum.Load() < more; {
			runtime.Gosched()
		}
		now = now.Add(5 * time.Minute) // so that earlier spans count little
		a := p.Observe(now)
		mu.Lock()
		for _, x := range a.Groups {
			served[x.Name] = true
			if x.Name != "other" && x.Ended > begun[x.Name] {
				t.Errorf("%d spans ended as %s, only %d had the name", x.Ended, x.Name, begun[x.Name])
			}
		}
		mu.Unlock()
		if len(a.Groups) > 5 {
			t.Errorf("%d names", len(a.Groups))
		}
	}
	close(stop)
	wg.Wait()
	a := p.Observe(now.Add(time.Second))
	if a.Started != a.Ended || a.Started == 0 {
		t.Errorf("%d started, %d ended", a.Started, a.Ended)
	}
	if len(served) < 8 {
		t.Errorf("only %d names had an index: the test is void", len(served))
	}
}

func TestRareNamesDoNotAllocate(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	p := newProcessor(t, tracectx.Config{MaxNames: 1, NoLabels: true})
	p.OnStart(t.Context(), root(1, 1, "first"))
	var spans []*fakeSpan
	for i := range 100 {
		spans = append(spans, root(2, uint64(i+1), fmt.Sprint("scan ", i)))
	}
	i := 0
	if n := testing.AllocsPerRun(90, func() { p.OnStart(t.Context(), spans[i]); p.OnEnd(spans[i]); i++ }); n != 0 {
		t.Errorf("%v allocations per root", n)
	}
}
