// SPDX-License-Identifier: Apache-2.0

package profiler

import (
	"cmp"
	"maps"
	"slices"
	"time"
	"unique"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

//nolint:gochecknoglobals // the metrics of this package, which are constant
var (
	// Which endpoint uses the CPU, beside the requests that it serves.
	spanCPUTime = &runtimeinfo.Metric{Name: "gmpulse.span.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, Headline: true, Subsystem: runtimeinfo.SubsystemProfiles, Help: "CPU time by local root span, estimated from CPU profiles; the 20 with the most, and other.", Keys: []string{"span.name"}}
	// How far to trust the estimate: one endpoint may have few samples.
	spanCPUError = &runtimeinfo.Metric{Name: "gmpulse.span.cpu.error", Unit: "1", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemProfiles, Detail: true, Help: "Relative standard error of the CPU time by local root span, over the last 20 profiles.", Keys: []string{"span.name"}}
	// The share that no span owns must not look like the share of a span.
	ownerTime = &runtimeinfo.Metric{Name: "gmpulse.profiler.cpu.time", Unit: "s", Kind: runtimeinfo.KindCounter, FixedLabels: true, Subsystem: runtimeinfo.SubsystemProfiles, Help: "CPU time of the process by owner, estimated from CPU profiles: a root span, none, the runtime (garbage collector, scheduler), or the agent.", Keys: []string{"owner"}}
	// Profiles that the application prevents are missing time.
	coverage    = &runtimeinfo.Metric{Name: "gmpulse.profiler.coverage", Unit: "1", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemProfiles, Detail: true, Help: "Share of the CPU time of the process that was used during CPU profiles, over the last 20."}
	takenMetric = &runtimeinfo.Metric{Name: "gmpulse.profiler.profiles", Unit: "{profile}", Kind: runtimeinfo.KindCounter, FixedLabels: true, Subsystem: runtimeinfo.SubsystemProfiles, Detail: true, Help: "Profiles taken, by kind.", Keys: []string{"kind"}}
	missMetric  = &runtimeinfo.Metric{Name: "gmpulse.profiler.missed", Unit: "{profile}", Kind: runtimeinfo.KindCounter, Fault: true, FixedLabels: true, Subsystem: runtimeinfo.SubsystemProfiles, Help: "Profiles not taken, by reason: busy (other code used the profiler), suspended (for a requested profile or a capture), memory (it was short), too_many (goroutines) or failed.", Keys: []string{"reason"}}
	storedBytes = &runtimeinfo.Metric{Name: "gmpulse.profiler.stored", Unit: "By", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemProfiles, Detail: true, Help: "Size of the stored profiles, in memory or on disk."}
	costMetric  = &runtimeinfo.Metric{Name: "gmpulse.profiler.cost", Unit: "s", Kind: runtimeinfo.KindCounter, Subsystem: runtimeinfo.SubsystemProfiles, Detail: true, Help: "CPU time for reading and storing profiles, without the signals during CPU profiles."}
)

// Metrics returns the metrics that Analyze adds.
func (*Profiler) Metrics() []*runtimeinfo.Metric {
	return []*runtimeinfo.Metric{spanCPUTime, spanCPUError, ownerTime, coverage, takenMetric, missMetric, storedBytes, costMetric}
}

// missReason is why a profile was not taken.
type missReason string

const (
	missedBusy      missReason = "busy"
	missedSuspended missReason = "suspended"
	missedMemory    missReason = "memory"
	missedTooMany   missReason = "too_many"
	missedFailed    missReason = "failed"
)

// stats has cumulative numbers.
type stats struct {
	taken  map[Kind]uint64
	missed map[missReason]uint64
	cost   time.Duration
}

// Analyze adds the estimated CPU times to a snapshot. It takes a few microseconds.
func (p *Profiler) Analyze(d *runtimeinfo.Draft) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.incidents.observe(d.Snapshot().Events) {
		select {
		case p.opened <- struct{}{}:
		default: // the profiles of an earlier incident are not taken yet
		}
	}
	for _, k := range kinds() {
		d.Add(takenMetric, float64(p.stats.taken[k]), string(k))
	}
	for _, r := range []missReason{missedBusy, missedSuspended, missedMemory, missedTooMany, missedFailed} {
		d.Add(missMetric, float64(p.stats.missed[r]), string(r))
	}
	d.Add(storedBytes, float64(p.history.size()))
	d.Add(costMetric, p.stats.cost.Seconds())
	if len(p.usage.periods) == 0 {
		return
	}
	p.usage.report(d)
}

// report adds the CPU times.
func (u *usage) report(d *runtimeinfo.Draft) {
	c := &u.counters
	byName := func(x, y unique.Handle[string]) int { return cmp.Compare(x.Value(), y.Value()) }
	for _, name := range slices.SortedFunc(maps.Keys(c.roots), byName) {
		d.Add(spanCPUTime, c.roots[name].seconds, name.Value())
	}
	if c.other > 0 {
		d.Add(spanCPUTime, c.other, otherRoot)
	}
	for o, seconds := range c.byOwner {
		d.Add(ownerTime, seconds, owner(o).String())
	}
	if u.recent.Total > 0 {
		d.Add(coverage, u.recent.Observed/u.recent.Total)
	}
	for _, r := range u.recent.Roots {
		if r.Seconds > 0 {
			d.Add(spanCPUError, r.Error/r.Seconds, r.Root)
		}
	}
}
