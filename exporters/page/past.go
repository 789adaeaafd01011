// SPDX-License-Identifier: Apache-2.0

package page

import (
	"errors"
	"net/http"
	"time"

	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

const (
	// maxPast is the number of CPU profiles in a flame graph. Of more, evenly spaced ones are used.
	maxPast = 150
	// pastNeeds is the memory for a flame graph: one decoded profile at a time, and the tree.
	pastNeeds = 64 << 20
)

// profilesOff explains how to keep profiles of the past.
const profilesOff = "no profiles of the past are kept: set GMPULSE_CPU_PROFILE=1s/30s or GMPULSE_CAPTURE_DIR, or use agent.WithProfiler"

// storedJSON is the answer of api/v1/profiles.
type storedJSON struct {
	Kinds    []storedKindJSON `json:"kinds"`
	Bytes    int64            `json:"bytes"`
	MaxBytes int64            `json:"max_bytes"`
}

type storedKindJSON struct {
	Kind     profiler.Kind       `json:"kind"`
	Profiles []storedProfileJSON `json:"profiles"` // oldest first
}

type storedProfileJSON struct {
	From  int64 `json:"from"` // Unix ms
	To    int64 `json:"to"`
	Bytes int   `json:"bytes"`
}

// stored lists the profiles of the past.
func (e *Exporter) stored(*http.Request) (any, error) {
	p := e.config.Profiler
	if p == nil {
		return nil, &statusError{http.StatusNotFound, profilesOff}
	}
	out := storedJSON{Kinds: []storedKindJSON{}, MaxBytes: p.Config().MaxBytes}
	for _, k := range []profiler.Kind{profiler.CPU, profiler.Heap, profiler.Goroutine} {
		kind := storedKindJSON{Kind: k, Profiles: []storedProfileJSON{}}
		for _, x := range p.Profiles(k, time.Time{}, time.Time{}) {
			kind.Profiles = append(kind.Profiles, storedProfileJSON{x.From.UnixMilli(), x.To.UnixMilli(), x.Bytes})
			out.Bytes += int64(x.Bytes)
		}
		out.Kinds = append(out.Kinds, kind)
	}
	return out, nil
}

// past is a request for a flame graph of profiles of the past.
type past struct {
	p         *profiler.Profiler
	now, base []profiler.Profile // base is nil if there is no comparison
	options   flameOptions
}

// pastFlame returns the flame graph of the stored profiles of a range or, with a base, the difference
// of two ranges.
func (e *Exporter) pastFlame(r *http.Request) (any, error) {
	x, err := e.pastOf(r)
	if err != nil {
		return nil, err
	}
	if err := headroom.Check(pastNeeds); err != nil {
		return nil, &statusError{http.StatusServiceUnavailable, err.Error()}
	}
	f := newFlame("", "")
	f.describe(x.now, x.base)
	if err := x.add(r, f, x.now, 1, addNow); err != nil {
		return nil, err
	}
	if x.base != nil {
		// Both sides stand for the same duration.
		scale := 1.0
		if before := length(x.base); before > 0 {
			scale = length(x.now) / before
		}
		if err := x.add(r, f, x.base, scale, addBase); err != nil {
			return nil, err
		}
	}
	f.finish()
	return f, nil
}

// pastOf reads the parameters of a request.
func (e *Exporter) pastOf(r *http.Request) (x past, err error) {
	q := r.URL.Query()
	kind, err := e.pastKind(q.Get("history"))
	if err != nil {
		return x, err
	}
	from, to, err := timeRange(r, "")
	if err != nil {
		return x, err
	}
	if x.options, err = flameOptionsOf(q); err != nil {
		return x, err
	}
	x.p = e.config.Profiler
	x.options.root, x.options.rootLabel = q.Get("root"), x.p.Config().RootLabel
	if x.options.root != "" && kind == profiler.Heap {
		return x, &statusError{http.StatusBadRequest, "root: heap profiles do not have root spans"}
	}
	x.now = profilesOf(x.p, kind, time.UnixMilli(from), time.UnixMilli(to))
	if len(x.now) == 0 {
		return x, &statusError{http.StatusNotFound, "there is no " + string(kind) + " profile in this range"}
	}
	before := time.UnixMilli(from)
	if from == 0 {
		before = x.now[0].From
	}
	x.base, err = x.baseOf(r, kind, before)
	return x, err
}

func (e *Exporter) pastKind(name string) (profiler.Kind, error) {
	if e.config.Profiler == nil {
		return "", &statusError{http.StatusNotFound, profilesOff}
	}
	switch k := profiler.Kind(name); {
	case k == profiler.CPU && !e.takesCPU():
		return "", &statusError{http.StatusNotFound, cpuOff}
	case k == profiler.CPU || k == profiler.Heap || k == profiler.Goroutine:
		return k, nil
	default:
		return "", &statusError{http.StatusBadRequest, "history: want cpu, heap or goroutine"}
	}
}

// profilesOf returns the CPU profiles of a range, or the last other profile before its end.
func profilesOf(p *profiler.Profiler, k profiler.Kind, from, to time.Time) []profiler.Profile {
	if k == profiler.CPU {
		return p.Profiles(k, from, to)
	}
	all := p.Profiles(k, time.Time{}, to)
	return all[max(0, len(all)-1):]
}

// baseOf returns the profiles to compare with, nil if the request asks for no comparison.
func (x *past) baseOf(r *http.Request, k profiler.Kind, from time.Time) (base []profiler.Profile, err error) {
	q := r.URL.Query()
	switch {
	case q.Get("base") == "healthy":
		base = x.p.Healthy(k, from)
	case q.Get("base") != "":
		return nil, &statusError{http.StatusBadRequest, "base: want healthy, or base_from and base_to"}
	case q.Get("base_to") == "":
		return nil, nil
	default:
		from, to, err := timeRange(r, "base_")
		if err != nil {
			return nil, err
		}
		base = profilesOf(x.p, k, time.UnixMilli(from), time.UnixMilli(to))
	}
	if n := len(base); n == 0 || base[n-1].To.Equal(x.now[len(x.now)-1].To) { // the same profile, if there is only one
		return nil, &statusError{http.StatusNotFound, "there is no " + string(k) + " profile to compare with"}
	}
	return base, nil
}

// length returns the duration of profiles in seconds. A heap or goroutine profile has none.
func length(list []profiler.Profile) (sum float64) {
	for _, x := range list {
		sum += x.To.Sub(x.From).Seconds()
	}
	return sum
}

// describe sets the description of a flame graph of stored profiles.
func (f *flameJSON) describe(now, base []profiler.Profile) {
	f.From, f.To, f.Profiles = now[0].From.UnixMilli(), now[len(now)-1].To.UnixMilli(), len(now)
	if base != nil {
		f.BaseTotal = new(int64)
		f.Tree.Base = new(int64)
		f.BaseFrom, f.BaseTo = base[0].From.UnixMilli(), base[len(base)-1].To.UnixMilli()
	}
}

// add adds profiles to one side of a flame graph. Profiles that are removed meanwhile are omitted.
func (x *past) add(r *http.Request, f *flameJSON, list []profiler.Profile, scale float64, to side) error {
	step := max(1, (len(list)+maxPast-1)/maxPast)
	for i := 0; i < len(list); i += step {
		if r.Context().Err() != nil {
			return r.Context().Err()
		}
		data, err := x.p.Read(list[i])
		if errors.Is(err, profiler.ErrGone) {
			continue
		}
		if err != nil {
			return err
		}
		if err := f.addProfile(data, x.options, scale*float64(step), to); err != nil {
			return err
		}
	}
	return nil
}
