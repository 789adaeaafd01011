// SPDX-License-Identifier: Apache-2.0

package profiler

import (
	"io"
	"time"
	"unique"
)

// SetFits replaces the check of free memory.
func (p *Profiler) SetFits(f func(bytes int64) error) { p.fits = f }

// SetCPUProfiler replaces the CPU profiler of the process.
func (p *Profiler) SetCPUProfiler(start func(io.Writer) error, stop func()) {
	p.startCPU, p.stopCPU = start, stop
}

// Starts returns when each CPU profile began.
func (p *Profiler) Starts() (all []time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.usage.periods {
		all = append(all, x.to.Add(-time.Duration(x.length*float64(time.Second))))
	}
	return all
}

// Missed returns the numbers of missed profiles by reason.
func (p *Profiler) Missed() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]int{}
	for r, n := range p.stats.missed {
		all[string(r)] = int(n)
	}
	return all
}

// AddCPU adds a CPU profile of a second, as if it had just ended. process is the CPU time of the
// process until now, during its part within the profile.
func (p *Profiler) AddCPU(data []byte, end time.Time, process, during time.Duration) error {
	x := &cpuProfile{start: end.Add(-time.Second), duration: time.Second, process: during, end: process}
	_, _ = x.out.Write(data)
	return p.addCPU(x)
}

// Begin begins the first period.
func (p *Profiler) Begin(now time.Time) { p.usage.start(now, 0) }

// Simulated is one period of a simulated process.
type Simulated struct {
	Length, Total, Observed float64
	Roots                   map[string]int // samples
}

// Simulate returns the usage of a process and the sums of the published counters.
func Simulate(periods []Simulated) (Usage, map[string]float64) {
	u := usage{}
	at, process := time.Unix(0, 0), time.Duration(1)
	u.start(at, process)
	for _, s := range periods {
		at = at.Add(30 * time.Second)
		process += time.Duration(s.Total * float64(time.Second))
		x := &period{to: at, observed: s.Observed, length: s.Length}
		for name, n := range s.Roots {
			x.samples += int64(n)
			x.sampled[ownerSpan] += float64(n) / 100
			x.roots = append(x.roots, rootSample{unique.Make(name), int64(n), float64(n) / 100})
		}
		u.add(x, process)
	}
	sums := map[string]float64{otherRoot: u.counters.other}
	for name, r := range u.counters.roots {
		sums[name.Value()] = r.seconds
	}
	return usageOf(u.periods), sums
}

// Store stores a profile that ended at a time.
func (p *Profiler) Store(k Kind, at time.Time, data []byte) {
	p.store(&Profile{Kind: k, From: at, To: at}, data)
}

// File returns the file of a profile, "" if it is in memory.
func (x *Profile) File() string { return x.file }

// Taken returns the numbers of profiles taken by kind.
func (p *Profiler) Taken() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]int{}
	for k, n := range p.stats.taken {
		all[string(k)] = int(n)
	}
	return all
}

// Close removes the files, as at the end of Run.
func (p *Profiler) Close() { p.history.removeFiles() }
