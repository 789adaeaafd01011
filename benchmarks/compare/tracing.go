// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"runtime/trace"
	"slices"
	"strings"
	"time"

	xtrace "golang.org/x/exp/trace"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
)

// A tick uses a hundredth of the CPU that a busy application uses in the same time. Two
// slices of the same application differ by more. The time of a tick is therefore taken
// from an execution trace: how long the goroutines of the library, and the goroutines
// that they started, were running or in system calls. The median ignores the ticks that
// other jobs of the machine interrupted.

// tracing determines how long to trace. Each round has a turn of each watcher.
type tracing struct {
	rounds int
	length time.Duration // of one turn
}

// ticked has the durations of one watcher's ticks, in nanoseconds.
type ticked struct {
	took  []float64
	parts map[string][]float64 // by part of the watcher
}

// traced measures watchers in turn under the load.
func traced(t tracing, l *load, watchers []*watcher) ([]ticked, error) {
	results := make([]ticked, len(watchers))
	for i := range results {
		results[i].parts = map[string][]float64{}
	}
	for round := range t.rounds {
		for j := range watchers {
			i := (j + round) % len(watchers)
			recorded, err := record(t.length, l, watchers[i])
			if err == nil {
				err = results[i].read(recorded)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

// record traces a turn of the load with a watcher.
func record(d time.Duration, l *load, w *watcher) (io.Reader, error) {
	var b bytes.Buffer
	w.start()
	defer w.stop()
	if err := trace.Start(&b); err != nil {
		return nil, err
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		l.run(16 * connections)
	}
	trace.Stop()
	return &b, nil
}

// goroutine is a goroutine of a watcher.
type goroutine struct {
	part  string
	since xtrace.Time // of the last state transition
	on    bool        // running or in a system call
}

// read adds the ticks of a trace except the first and the last, which may be incomplete.
func (t *ticked) read(recorded io.Reader) error {
	r, err := xtrace.NewReader(recorded)
	if err != nil {
		return err
	}
	known := goroutines{}
	var ticks []map[string]float64 // nanoseconds by part
	for {
		e, err := r.ReadEvent()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if e.Kind() != xtrace.EventStateTransition || e.StateTransition().Resource.Kind != xtrace.ResourceGoroutine {
			continue
		}
		s := e.StateTransition()
		id := s.Resource.Goroutine()
		g := known[id]
		if g == nil {
			part := known.partOf(&e, &s)
			if part == "" {
				continue
			}
			g = &goroutine{part: part}
			known[id] = g
		}
		if g.on && len(ticks) > 0 {
			ticks[len(ticks)-1][g.part] += float64(e.Time().Sub(g.since))
		}
		from, to := s.Goroutine()
		if g.part == partTick && from == xtrace.GoWaiting && to == xtrace.GoRunnable {
			ticks = append(ticks, map[string]float64{})
		}
		g.on, g.since = to == xtrace.GoRunning || to == xtrace.GoSyscall, e.Time()
	}
	if len(ticks) > 2 {
		t.add(ticks[1 : len(ticks)-1])
	}
	return nil
}

// goroutines are the goroutines of a watcher in the trace so far.
type goroutines map[xtrace.GoID]*goroutine

// partOf returns the part of the watcher that a goroutine belongs to, by its stack or by
// the goroutine that started it. It returns "" for a goroutine of the application.
func (g goroutines) partOf(e *xtrace.Event, s *xtrace.StateTransition) string {
	if part := partOf(s.Stack); part != "" {
		return part
	}
	if from, _ := s.Goroutine(); from != xtrace.GoNotExist {
		return ""
	}
	if parent := g[e.Goroutine()]; parent != nil {
		return parent.part + ", started"
	}
	return ""
}

// partTick is the part of a watcher that every library has.
const partTick = "tick"

// partOf returns the part of a watcher that a stack belongs to, or "".
func partOf(s xtrace.Stack) string {
	part := ""
	for f := range s.Frames() { // the innermost first
		switch {
		case strings.HasPrefix(f.Func, "main.") && strings.Contains(f.Func, "every.func"), strings.HasSuffix(f.Func, "engine.(*Engine).sample"), strings.HasSuffix(f.Func, "engine.(*Engine).run"):
			return partTick
		case strings.Contains(f.Func, "gmpulse/exporters/") && part == "":
			part = "exporter " + f.Func[strings.LastIndex(f.Func, "/")+1:]
		case strings.Contains(f.Func, "delivery.(*Delivery).Run"):
			return "exporters"
		case strings.Contains(f.Func, "engine.(*Engine).run."), strings.Contains(f.Func, "engine.(*hostLoop)"), strings.Contains(f.Func, "engine.(*gauges).run"):
			return f.Func[strings.LastIndex(f.Func, "/")+1:]
		}
	}
	return ""
}

// median returns the median of the ticks and its 95 % interval.
func (t *ticked) median() (m, low, high float64) {
	half := 0.98 / math.Sqrt(float64(len(t.took)))
	return sidebyside.Quantile(t.took, 0.5), sidebyside.Quantile(t.took, 0.5-half), sidebyside.Quantile(t.took, 0.5+half)
}

// add adds ticks.
func (t *ticked) add(ticks []map[string]float64) {
	for _, tick := range ticks {
		sum := 0.0
		for part, took := range tick {
			sum += took
			t.parts[part] = append(t.parts[part], took)
		}
		t.took = append(t.took, sum)
	}
}

// describeParts describes each part of a tick: its median time, and the percentage of
// the ticks that had it.
func (t *ticked) describeParts() string {
	var text []string
	for _, name := range slices.Sorted(maps.Keys(t.parts)) {
		took := t.parts[name]
		text = append(text, fmt.Sprintf("%s %s (%d %%)", name, duration(sidebyside.Quantile(took, 0.5)), 100*len(took)/len(t.took)))
	}
	return strings.Join(text, ", ")
}
