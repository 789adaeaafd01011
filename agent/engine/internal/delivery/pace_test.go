// SPDX-License-Identifier: Apache-2.0

package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine/internal/delivery"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// paced posts a snapshot per tick to a delivery.
type paced struct {
	*delivery.Delivery

	exporter *fake
	queue    *runtimeinfo.Metric
	tick     time.Duration
	seq      uint64
	last     time.Time
}

// startPaced runs a delivery with an interval, one tick per second and no phase.
func startPaced(t *testing.T, e *fake, interval time.Duration) *paced {
	t.Helper()
	return startWith(t, e, delivery.Pace{Interval: interval, Tick: time.Second})
}

func startWith(t *testing.T, e *fake, p delivery.Pace) *paced {
	t.Helper()
	d := &paced{
		Delivery: delivery.New("test", e, nil, p, timeout, slog.New(slog.DiscardHandler)),
		exporter: e,
		queue:    &runtimeinfo.Metric{Name: "queue", Kind: runtimeinfo.KindGauge, Ranged: true},
		tick:     p.Tick,
	}
	d.Start(t.Context())
	return d
}

// snapshot returns the snapshot of the next tick.
func (d *paced) snapshot(v float64, events ...string) *runtimeinfo.Snapshot {
	d.seq++
	s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: d.queue, Number: v})
	s.Seq, s.Time, s.Since, s.Ticks = d.seq, time.Now(), d.last, 1
	s.Events = snapshot(events...).Events
	d.last = s.Time
	return s
}

// post posts a snapshot, lets the exporter work and waits for the next tick.
func (d *paced) post(v float64, events ...string) {
	d.Post(d.snapshot(v, events...))
	synctest.Wait()
	time.Sleep(d.tick)
	synctest.Wait()
}

func (d *paced) stop(t *testing.T) {
	t.Helper()
	if err := d.Stop(t.Context(), d.snapshot(0)); err != nil {
		t.Error(err)
	}
	balanced(t, d.Delivery)
}

// ticks returns the ticks of each snapshot that the exporter received.
func (e *fake) ticks() (all []int) {
	for _, s := range e.got {
		all = append(all, s.Ticks)
	}
	return all
}

func rangeOf(s *runtimeinfo.Snapshot) (v float64, r *runtimeinfo.Range) {
	for p := range s.Points() {
		v, r = p.Number, p.Range
	}
	return v, r
}

func wantTicks(t *testing.T, e *fake, want ...int) {
	t.Helper()
	if got := e.ticks(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("snapshots of %v ticks, want %v", got, want)
	}
}

// The exporter receives one snapshot per interval, which covers the time since the one before.
func TestIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startPaced(t, &fake{}, 10*time.Second)
		for i := range 35 {
			d.post(float64(i))
			balanced(t, d.Delivery)
		}
		wantTicks(t, d.exporter, 1, 10, 10, 10)
		if s := d.Stats().Snapshots; s.Accepted != 4 || s.Delivered != 4 {
			t.Errorf("%+v", s)
		}
		d.stop(t)
		wantTicks(t, d.exporter, 1, 10, 10, 10, 5)
		for i, s := range d.exporter.got[1:4] {
			v, r := rangeOf(s)
			at := float64(10 * (i + 1))
			if r == nil || v != at || *r != (runtimeinfo.Range{Min: at - 9, Mean: at - 4.5, Max: at}) {
				t.Errorf("snapshot %d: %v, %+v", i+1, v, r)
			}
			if before := d.exporter.got[i]; !s.Since.Equal(before.Time) || s.Time.Sub(s.Since) != 10*time.Second {
				t.Errorf("snapshot %d is from %v to %v, the one before ends at %v", i+1, s.Since, s.Time, before.Time)
			}
		}
	})
}

// Ticks are not exact, some are missed, and an interval may be any duration.
func TestUnevenIntervals(t *testing.T) {
	for _, c := range []struct {
		interval time.Duration
		lateness func(i int) time.Duration
		want     []int
	}{
		{3 * time.Second, func(i int) time.Duration { return time.Duration(i%2) * 400 * time.Millisecond }, []int{1, 3, 3, 3}},
		{2500 * time.Millisecond, func(int) time.Duration { return time.Millisecond }, []int{1, 2, 3, 2, 3}},
		{3 * time.Second, func(i int) time.Duration { // the process is stopped from the second to the tenth second
			if i >= 2 {
				return 8 * time.Second
			}
			return 0
		}, []int{1, 2, 2, 3, 3}},
		{time.Second, func(int) time.Duration { return 0 }, []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{10 * time.Millisecond, func(int) time.Duration { return 0 }, []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{0, func(int) time.Duration { return 0 }, []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := startPaced(t, &fake{}, c.interval)
			d.tick = 0
			start := time.Now()
			for i := range 11 {
				time.Sleep(time.Until(start.Add(time.Duration(i)*time.Second + c.lateness(i))))
				d.post(1)
			}
			wantTicks(t, d.exporter, c.want...)
			d.stop(t)
		})
	}
}

// The first call is after the phase, the others at intervals from there.
func TestPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startWith(t, &fake{}, delivery.Pace{Interval: 10 * time.Second, Tick: time.Second, Phase: 7 * time.Second})
		for range 30 {
			d.post(1)
		}
		wantTicks(t, d.exporter, 8, 10, 10)
		if s := d.exporter.got[0]; !s.Since.IsZero() {
			t.Errorf("the first snapshot covers the time since %v, want no time", s.Since)
		}
		d.stop(t)
	})
}

// The phases of a fleet are evenly distributed.
func TestPhaseOf(t *testing.T) {
	const n = 100_000
	for _, interval := range []time.Duration{10 * time.Second, time.Minute} {
		calls := map[time.Duration]int{}
		same := 0
		for i := range n {
			id := "checkout-7d9f8b6c5-" + strconv.Itoa(i)
			p := delivery.PhaseOf(interval, time.Second, id, "fluentd")
			calls[p]++
			if p == delivery.PhaseOf(interval, time.Second, id, "otlp") {
				same++
			}
			if p < 0 || p >= interval || p%time.Second != 0 {
				t.Fatalf("phase %v", p)
			}
		}
		steps := int(interval / time.Second)
		for p, k := range calls {
			if mean := n / steps; k < mean*9/10 || k > mean*11/10 {
				t.Errorf("%d of %d instances have the phase %v of %v", k, n, p, interval)
			}
		}
		if same > n/steps*11/10 || len(calls) != steps {
			t.Errorf("%d phases of %v; %d instances have the same for two exporters", len(calls), interval, same)
		}
	}
	if p := delivery.PhaseOf(time.Second, time.Second, "a", "b"); p != 0 {
		t.Errorf("phase %v without an interval", p)
	}
}

// An event ends the interval. The later regular calls are not moved.
func TestEventsEndTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startPaced(t, &fake{}, 10*time.Second)
		for i := range 21 {
			switch i {
			case 4:
				d.post(1, "a")
				if got := d.exporter.events(); got != "a" {
					t.Errorf("events %q at the tick of the event", got)
				}
			case 12:
				d.post(1, "b")
			default:
				d.post(1)
			}
		}
		wantTicks(t, d.exporter, 1, 4, 6, 2, 8)
		if got := d.exporter.events(); got != "a b" {
			t.Errorf("events %q", got)
		}
		d.stop(t)
	})
}

// However many events there are, they arrive within ten seconds, and the exporter is called at most twice
// per interval in the long run.
func TestStormOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var latest time.Duration
		e := &fake{export: func(_ context.Context, s *runtimeinfo.Snapshot) error {
			for i := range s.Events {
				latest = max(latest, time.Since(s.Events[i].Time))
			}
			return nil
		}}
		d := startPaced(t, e, 10*time.Second)
		event := func() {
			s := d.snapshot(1, "e")
			s.Events[0].Time = s.Time
			d.Post(s)
			time.Sleep(time.Second)
			synctest.Wait() // until the calls have ended
		}
		const minutes = 10
		for range minutes * 60 {
			event()
		}
		calls := len(e.got)
		if limit := minutes*6*2 + 5; calls > limit || calls < minutes*6 {
			t.Errorf("%d calls in %d minutes, want at most %d", calls, minutes, limit)
		}
		for range 60 {
			d.post(1) // quiet
		}
		d.post(1) // regular
		synctest.Wait()
		before := len(e.got)
		event()
		if len(e.got) != before+1 {
			t.Error("the first event after a quiet minute waits")
		}
		event()
		if len(e.got) != before+2 {
			t.Error("the second event after a quiet minute waits as long as in the storm")
		}
		d.stop(t)
		if s := d.Stats().Events; s.Delivered != minutes*60+2 || s.Lost() != 0 || latest > 10*time.Second {
			t.Errorf("%+v, the latest after %v", s, latest)
		}
	})
}

// The ticks of a failed call are a part of the next snapshot. Its events are sent again after ten seconds
// or an interval, and no event makes the exporter call a failing backend more often.
func TestFailedIntervals(t *testing.T) {
	for _, interval := range []time.Duration{3 * time.Second, 10 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			down := true
			calls := 0
			e := &fake{export: func(context.Context, *runtimeinfo.Snapshot) error {
				if calls++; down {
					return errors.New("down")
				}
				return nil
			}}
			d := startPaced(t, e, interval)
			d.post(1000, "first")
			const outage = 120
			for range outage - 1 {
				d.post(5, "e")
				balanced(t, d.Delivery)
			}
			gap := min(interval, 10*time.Second)
			if limit := int(outage*time.Second/gap) + int(outage*time.Second/interval) + 1; calls > limit {
				t.Errorf("interval %v: %d calls in %d s, want at most %d", interval, calls, outage, limit)
			}
			down = false
			begin := time.Now()
			for len(e.got) == 0 && time.Since(begin) < time.Hour {
				d.post(5)
			}
			if took := time.Since(begin); took > gap+time.Second {
				t.Errorf("interval %v: the events arrive %v after the outage", interval, took)
			}
			if got := len(e.got[0].Events); got != outage {
				t.Errorf("interval %v: %d events, want %d", interval, got, outage)
			}
			if _, r := rangeOf(e.got[0]); r.Max != 1000 || e.got[0].Ticks != int(e.got[0].Seq) {
				t.Errorf("interval %v: %d of %d ticks, %+v", interval, e.got[0].Ticks, e.got[0].Seq, *r)
			}
			d.stop(t)
		})
	}
}

// While the exporter is busy, the next snapshot also covers the ticks of the one that it replaces.
func TestReplacedIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := 3500 * time.Millisecond
		e := &fake{export: func(context.Context, *runtimeinfo.Snapshot) error {
			time.Sleep(busy)
			return nil
		}}
		d := startPaced(t, e, 2*time.Second)
		total := 0
		for i := range 40 {
			d.post(float64(i % 7))
			balanced(t, d.Delivery)
		}
		time.Sleep(time.Minute)
		d.stop(t)
		for _, n := range e.ticks() {
			total += n
		}
		if s := d.Stats().Snapshots; total != 41 || s.Dropped(exporters.DropReplaced) == 0 {
			t.Errorf("%d ticks in snapshots of %v, want 41: %+v", total, e.ticks(), s)
		}
	})
}

// Each tick is in exactly one snapshot and each event is delivered once, whatever the exporter does. The
// accounts balance at each tick.
func TestNoTickIsLost(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			good := false
			e := &fake{export: func(ctx context.Context, _ *runtimeinfo.Snapshot) error {
				switch random.IntN(5) {
				case 0:
					time.Sleep(time.Duration(random.IntN(4000)) * time.Millisecond)
				case 1:
					if !good {
						return errors.New("down")
					}
				case 2:
					if !good {
						<-ctx.Done()
						return ctx.Err()
					}
				}
				return nil
			}}
			d := startWith(t, e, delivery.Pace{
				Interval: time.Duration(random.IntN(15_000)) * time.Millisecond, Tick: time.Second,
				Phase: time.Duration(random.IntN(3)) * time.Second,
			})
			events, most := 0, 0.0
			for range 200 {
				v := random.NormFloat64()
				most = max(most, v)
				if random.IntN(10) == 0 {
					events++
					d.post(v, "e")
				} else {
					d.post(v)
				}
				balanced(t, d.Delivery)
			}
			good = true
			time.Sleep(time.Minute)
			d.stop(t)
			ticks, greatest := 0, 0.0
			for i, s := range e.got {
				v, r := rangeOf(s)
				if ticks += s.Ticks; r != nil {
					v = r.Max
				}
				greatest = max(greatest, v)
				if i > 0 && (s.Seq <= e.got[i-1].Seq || !s.Since.Equal(e.got[i-1].Time)) {
					t.Errorf("seed %d: seq %d since %v after seq %d of %v", seed, s.Seq, s.Since, e.got[i-1].Seq, e.got[i-1].Time)
				}
			}
			if s := d.Stats(); ticks != 201 || greatest != most || int(s.Events.Delivered) != events {
				t.Errorf("seed %d: %d ticks of 201, maximum %v of %v, %d events of %d", seed, ticks, greatest, most, s.Events.Delivered, events)
			}
		})
	}
}

// A tick within an interval does not allocate.
func TestPostDoesNotAllocate(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	d := delivery.New("test", &fake{}, nil, delivery.Pace{Interval: time.Hour, Tick: time.Second}, timeout, slog.New(slog.DiscardHandler))
	x := &paced{Delivery: d, queue: &runtimeinfo.Metric{Name: "queue", Kind: runtimeinfo.KindGauge, Ranged: true}}
	d.Post(x.snapshot(1)) // delivered at once
	d.Post(x.snapshot(1))
	d.Post(x.snapshot(1))
	next := x.snapshot(1)
	if n := testing.AllocsPerRun(100, func() { d.Post(next) }); n != 0 {
		t.Errorf("%v allocations per tick", n)
	}
}
