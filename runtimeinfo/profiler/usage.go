// SPDX-License-Identifier: Apache-2.0

package profiler

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"time"
	"unique"
)

// Usage is the CPU time of the process by local root span in a range of time, estimated from the CPU
// profiles in it.
//
// A profile covers a part of the time, and a sample stands for 10 ms of CPU time. The estimate for
// a root span is the ratio estimator of sampling theory: its samples in all profiles, divided by
// all samples in all profiles, times the CPU time of the process, which the system measures
// exactly. Two other estimators are worse. The share within each profile, times the CPU time of its
// period, is biased: a profile in a quiet moment would speak for the busy rest of its period. The
// samples times period and divided by duration are unbiased, but vary with the load between
// profiles, which the exact CPU time corrects here. The bias of the ratio falls with the number of
// profiles and is far below its error.
//
// Error is estimated from the differences between the profiles, and is at least the error of
// counting independent samples. With less than two profiles it is only the latter, and with ten it is
// too low if the load comes in bursts that few of them hit.
type Usage struct {
	// From and To are the time that the profiles stand for: from the end of the profile before
	// the first to the end of the last.
	From, To time.Time `json:"-"`
	// Profiles is the number of profiles, Missed the number of those that could not be taken.
	Profiles int `json:"profiles"`
	Missed   int `json:"missed"`
	// Total is the CPU time of the process, Observed the part within profiles, in seconds.
	Total    float64 `json:"total_seconds"`
	Observed float64 `json:"observed_seconds"`
	// Roots has the CPU time by local root span, most first: at most 20, and "other".
	Roots []RootUsage `json:"roots"`
	// Unowned is the CPU time, in seconds, of goroutines without a root span. Agent is the part
	// of gmpulse in it.
	Unowned float64 `json:"unowned_seconds"`
	Agent   float64 `json:"agent_seconds"`
	// Runtime is the CPU time, in seconds, of the garbage collector, the scheduler and other
	// work of the runtime that belongs to no goroutine of the application.
	Runtime float64 `json:"runtime_seconds"`
}

// RootUsage is the CPU time of the local root spans of one name.
type RootUsage struct {
	Root string `json:"root"`
	// Seconds is the estimated CPU time and Error its standard error.
	Seconds float64 `json:"seconds"`
	Error   float64 `json:"error"`
	// Samples is the number of samples in the profiles.
	Samples int64 `json:"samples"`
}

const (
	// maxPeriods bounds the profiles of which the shares are kept: eight hours at one in 30 s.
	maxPeriods = 960
	// maxPeriodRoots bounds the root spans of one profile.
	maxPeriodRoots = 64
	// windowPeriods is the number of profiles whose coverage and error are published.
	windowPeriods = 20
	maxRoots      = 20
	otherRoot     = "other"
)

// period is one CPU profile and the time since the one before it.
type period struct {
	from, to time.Time // from the end of the previous profile to the end of this one
	total    float64   // CPU seconds of the process in this time
	observed float64   // CPU seconds of the process within the profile
	length   float64   // of the profile, in seconds
	missed   int       // profiles since the previous one
	samples  int64
	sampled  [numOwners]float64 // CPU seconds
	roots    []rootSample       // most first
}

// rootSample is the samples of one root span in a profile.
type rootSample struct {
	name    unique.Handle[string] // shares its memory with other profiles
	samples int64
	seconds float64
}

// all returns the sampled CPU seconds of all owners.
func (x *period) all() (sum float64) {
	for _, s := range x.sampled {
		sum += s
	}
	return sum
}

// usage has the shares of the last CPU profiles.
type usage struct {
	periods  []*period     // oldest first, at most maxPeriods
	missed   int           // profiles since the last period
	since    time.Time     // end of the last period
	process  time.Duration // CPU time of the process until then
	counters counters
	recent   Usage // of the window
}

// start begins the first period.
func (u *usage) start(now time.Time, process time.Duration) { u.since, u.process = now, process }

// add adds a profile. process is the CPU time of the process until its end, or 0 if the system does
// not report it. Then the load is assumed to be the same in the period as in the profile.
func (u *usage) add(x *period, process time.Duration) {
	x.from, x.missed = u.since, u.missed
	x.total = (process - u.process).Seconds()
	if process == 0 {
		x.observed = x.all()
		x.total = x.observed * max(1, x.to.Sub(x.from).Seconds()/x.length)
	}
	x.total = max(x.total, x.observed)
	x.keepRoots()
	u.since, u.process, u.missed = x.to, process, 0
	if len(u.periods) == maxPeriods {
		u.periods = append(u.periods[:0], u.periods[1:]...)
	}
	u.periods = append(u.periods, x)
	u.recent = usageOf(u.window())
	u.counters.add(x, counterScale(u.window()))
}

// keepRoots sorts the roots, and sums those beyond the limit up.
func (x *period) keepRoots() {
	sort.Slice(x.roots, func(i, j int) bool {
		return cmp.Or(cmp.Compare(x.roots[j].samples, x.roots[i].samples), cmp.Compare(x.roots[i].name.Value(), x.roots[j].name.Value())) < 0
	})
	if len(x.roots) > maxPeriodRoots {
		rest := rootSample{name: unique.Make(otherRoot)}
		for _, r := range x.roots[maxPeriodRoots-1:] {
			rest.samples += r.samples
			rest.seconds += r.seconds
		}
		x.roots = append(x.roots[:maxPeriodRoots-1], rest)
	}
}

// window returns the last profiles.
func (u *usage) window() []*period { return u.periods[max(0, len(u.periods)-windowPeriods):] }

// within returns the profiles that ended within a range.
func (u *usage) within(from, to time.Time) []*period {
	i := sort.Search(len(u.periods), func(i int) bool { return !u.periods[i].to.Before(from) })
	j := sort.Search(len(u.periods), func(j int) bool { return u.periods[j].to.After(to) })
	return u.periods[i:max(i, j)]
}

// Usage returns the CPU time by root span, from the profiles that ended between from and to.
// Zero times mean all that is known: the last 960 profiles.
func (p *Profiler) Usage(from, to time.Time) Usage {
	if p == nil {
		return Usage{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if to.IsZero() {
		to = p.usage.since
	}
	u := usageOf(p.usage.within(from, to))
	if !to.Before(p.usage.since) {
		u.Missed += p.usage.missed
	}
	return u
}

func usageOf(periods []*period) (u Usage) {
	if len(periods) == 0 {
		return u
	}
	e := newEstimator(periods)
	u.From, u.To, u.Profiles = periods[0].from, periods[len(periods)-1].to, len(periods)
	u.Total, u.Observed = e.total, e.observed
	var owned [numOwners][]float64
	roots := map[unique.Handle[string]]int64{}
	for _, x := range periods {
		u.Missed += x.missed
		for o, seconds := range x.sampled {
			owned[o] = append(owned[o], seconds)
		}
		for _, r := range x.roots {
			roots[r.name] += r.samples
		}
	}
	u.Agent, _ = e.estimate(owned[ownerAgent])
	none, _ := e.estimate(owned[ownerNone])
	u.Unowned = none + u.Agent
	u.Runtime, _ = e.estimate(owned[ownerRuntime])
	rank, names := topRoots(roots)
	u.Roots = e.roots(rank, names)
	return u
}

// topRoots returns the root spans with the most samples, and their rank. The others, and "other",
// have the rank after the last.
func topRoots(samples map[unique.Handle[string]]int64) (rank map[unique.Handle[string]]int, names []string) {
	delete(samples, unique.Make(otherRoot))
	top := slices.SortedFunc(maps.Keys(samples), func(x, y unique.Handle[string]) int {
		return cmp.Or(cmp.Compare(samples[y], samples[x]), cmp.Compare(x.Value(), y.Value()))
	})
	rank = map[unique.Handle[string]]int{}
	for i, name := range top[:min(len(top), maxRoots)] {
		rank[name] = i
		names = append(names, name.Value())
	}
	return rank, append(names, otherRoot)
}
