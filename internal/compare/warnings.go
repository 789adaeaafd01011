// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"
)

// side describes the compared part of a recording.
func (r *Recording) side(w *window) Side {
	last := r.samples[len(r.samples)-1]
	s := Side{
		Source: r.Source, Service: r.resource["service.name"], Version: r.resource["service.version"],
		GoVersion: r.resource["process.runtime.version"],
		Host:      cmp.Or(r.resource["host.name"], r.resource["k8s.node.name"]),
		MaxProcs:  last.values[keyMaxProcs],
		From:      w.from, Seconds: w.to.Sub(w.from).Seconds(), Interval: w.interval.Seconds(),
	}
	s.Requests = w.total(func(s *step) (float64, bool) { return s.counter(w.requests) })
	others := w.total(func(s *step) (float64, bool) {
		machine, ok1 := s.counters(machineBusy())
		process, ok2 := s.counters(processBusy())
		return machine - process, ok1 && ok2
	})
	if others > 0 && s.Seconds > 0 {
		s.Others = new(max(0, others/s.Seconds))
	}
	return s
}

// warn adds what makes the recordings hard to compare.
func (c *comparison) warn(before, after *Recording) {
	a, b := &c.Before, &c.After
	add := func(format string, args ...any) { c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...)) }
	for _, x := range []struct{ what, before, after string }{
		{"services", a.Service, b.Service},
		{"machines", a.Host, b.Host},
		{"numbers of CPUs of the machine", fmt.Sprint(before.machine()), fmt.Sprint(after.machine())},
		{"Go versions", a.GoVersion, b.GoVersion},
		{"values of GOMAXPROCS", fmt.Sprint(a.MaxProcs), fmt.Sprint(b.MaxProcs)},
		{"intervals between records", fmt.Sprint(c.before.interval.Round(time.Second)), fmt.Sprint(c.after.interval.Round(time.Second))},
	} {
		unknown := x.before == "" || x.after == "" || x.before == "0" || x.after == "0"
		if x.before != x.after && !unknown {
			add("different %s: %s and %s", x.what, x.before, x.after)
		}
	}
	c.warnRecording(before, add)
	c.warnRecording(after, add)
	c.warnLoad(add)
	c.warnMachine(max(before.machine(), after.machine()), add)
}

func (c *comparison) warnRecording(r *Recording, add func(string, ...any)) {
	if r.runs > 1 {
		add("%s has records of %d processes; the last one is compared", r.Source, r.runs)
	}
	if r.samples[len(r.samples)-1].roots == nil && c.before.requests != "" {
		add("%s has no numbers by root span, as in compact records: set Full in jsonl.Config to compare latency and errors", r.Source)
	}
}

// warnLoad warns of different load, on which most quantities depend.
func (c *comparison) warnLoad(add func(string, ...any)) {
	if c.before.requests == "" {
		add("there are no requests (root spans): the quantities are per second, and the load must have been the same")
		return
	}
	before, after := c.Before.Requests/c.Before.Seconds, c.After.Requests/c.After.Seconds
	if ratio := after / before; ratio > 1.1 || ratio < 1/1.1 {
		add("different load: %.4g and %.4g requests per second; latency, memory and goroutines depend on it", before, after)
	}
	a, b := c.before.rootNames(), c.after.rootNames()
	warnMix(a, b, add)
	var only [2][]string
	for _, name := range byCount(a, b) {
		if len(a) == 0 || len(b) == 0 {
			continue
		}
		if a[name] == 0 {
			only[1] = append(only[1], name)
		}
		if b[name] == 0 {
			only[0] = append(only[0], name)
		}
	}
	for i, side := range []string{"before", "after"} {
		if n := len(only[i]); n > 0 {
			add("%d root spans only %s: %s", n, side, strings.Join(only[i][:min(n, 5)], ", "))
		}
	}
}

// warnMix warns if one name is much more frequent among the requests of one side.
func warnMix(before, after map[string]float64, add func(string, ...any)) {
	const most = 0.05
	share := func(all map[string]float64, name string) float64 {
		var total float64
		for _, n := range all {
			total += n
		}
		return all[name] / max(1, total)
	}
	name, worst := "", most
	for _, x := range byCount(before, after) {
		if d := math.Abs(share(after, x) - share(before, x)); d > worst && before[x] > 0 && after[x] > 0 {
			name, worst = x, d
		}
	}
	if name != "" {
		add("different mix of requests: %s is %.0f %% and %.0f %% of them; what a request costs depends on it", name, 100*share(before, name), 100*share(after, name))
	}
}

// machine returns the number of CPUs of the machine, 0 if unknown.
func (r *Recording) machine() float64 { return r.samples[len(r.samples)-1].values[keyMachine] }

// busier is the share of the machine by which the use by other processes may differ if durations, and what
// is held for a duration, are to be regressions.
const busier = 0.1

// warnMachine warns if other processes used much more of the machine in one recording. Durations then say
// more about them than about the service.
func (c *comparison) warnMachine(cpus float64, add func(string, ...any)) {
	a, b := c.Before.Others, c.After.Others
	if a == nil || b == nil || cpus == 0 || math.Abs(*b-*a) <= busier*cpus {
		return
	}
	c.quiet = false
	add("other processes used %.2f and %.2f of %.0f CPUs: a difference in latency, goroutines or descriptors is no regression", *a, *b, cpus)
}
