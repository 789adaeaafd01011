// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"sort"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// ManifestFile is the name of the manifest in each bundle.
const ManifestFile = "manifest.json"

// Manifest describes the incident and the files of a bundle.
type Manifest struct {
	// ID is the name of the bundle's directory.
	ID string `json:"id"`
	// Time is the time of the trigger.
	Time time.Time `json:"time"`
	// Reason, Cause and Also are copied from the [Trigger].
	Reason string `json:"reason"`
	Cause  string `json:"cause"`
	// First reports whether this is the first bundle of its incident.
	First bool     `json:"first,omitempty"`
	Also  []string `json:"also,omitempty"`

	Event    *Event    `json:"event,omitempty"`
	Verdicts []Verdict `json:"verdicts,omitempty"`
	// Groups are at most 20 groups of goroutines: first those that have grown most since
	// BaseTime, then the largest.
	Groups []Group `json:"groups,omitempty"`
	// Goroutines is the number of goroutines.
	Goroutines int `json:"goroutines"`
	// BaseTime is the time of the reference profile, zero if there is none.
	BaseTime time.Time `json:"base_time,omitzero"`

	Files []File `json:"files"`
	// Skipped lists the files that the bundle lacks.
	Skipped []Skipped `json:"skipped,omitempty"`
	// SkippedCaptures lists the bundles that were not created since the previous one.
	SkippedCaptures []SkippedCapture `json:"skipped_captures,omitempty"`

	GoVersion string             `json:"go_version"`
	Resource  []runtimeinfo.Attr `json:"resource,omitempty"`
}

// Event is the event that triggered a bundle.
type Event struct {
	Time     time.Time      `json:"time"`
	Name     string         `json:"name"`
	Severity string         `json:"severity"`
	Message  string         `json:"message"`
	Attrs    map[string]any `json:"attrs,omitempty"`
	Spans    []Span         `json:"spans,omitempty"`
}

// Span is one local root span.
type Span struct {
	TraceID string    `json:"trace_id"`
	SpanID  string    `json:"span_id"`
	Name    string    `json:"name"`
	Start   time.Time `json:"start"`
	Age     float64   `json:"age_seconds"`
}

// Verdict is a verdict on a group of goroutines, see [goroutines.Verdict].
type Verdict struct {
	Kind      string  `json:"kind"`
	Wait      string  `json:"wait"`
	Site      string  `json:"site"`
	Entry     string  `json:"entry"`
	Count     int     `json:"count"`
	Old       int     `json:"old,omitempty"`
	Leaked    int     `json:"leaked,omitempty"`
	PerMinute float64 `json:"growth_per_minute,omitempty"`
	Roots     []Root  `json:"created_under,omitempty"`
	Evidence  string  `json:"evidence,omitempty"`
	Hint      string  `json:"hint,omitempty"`
}

// Root is the name of a root span and the number of goroutines that were created under it.
type Root struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Group is a group of goroutines: its size now and at BaseTime of the manifest.
type Group struct {
	Wait  string `json:"wait"`
	Site  string `json:"site"`
	Entry string `json:"entry"`
	Count int    `json:"count"`
	Base  int    `json:"base"`
}

// File is one file of a bundle.
type File struct {
	Name    string  `json:"name"`
	Bytes   int     `json:"bytes"`
	Seconds float64 `json:"seconds"` // time to create it
}

// Skipped is a file that a bundle lacks.
type Skipped struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// SkippedCapture is a bundle that was not created.
type SkippedCapture struct {
	Time  time.Time `json:"time"`
	Cause string    `json:"cause"`
	Why   string    `json:"why"`
}

// maxManifest is larger than any manifest of a Store.
const maxManifest = 4 << 20

// ReadManifest reads the manifest of the bundle whose directory is the root of files, such as
// [fs.Sub] of a [Store]. It returns an error if the manifest is not a regular file of at most
// 4 MiB. It ignores unknown fields, which a later version may write.
func ReadManifest(files fs.FS) (*Manifest, error) {
	info, err := fs.Stat(files, ManifestFile)
	switch {
	case err != nil:
		return nil, fmt.Errorf("evidence: %w", err)
	case !info.Mode().IsRegular() || info.Size() > maxManifest:
		return nil, fmt.Errorf("evidence: %s is not a regular file of at most %d bytes", ManifestFile, maxManifest)
	}
	text, err := fs.ReadFile(files, ManifestFile)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("evidence: %s: %w", ManifestFile, err)
	}
	return m, nil
}

const (
	maxVerdicts = 20
	maxGroups   = 20
	maxListed   = 10 // for roots of a verdict and spans of an event
)

func verdictsOf(r *goroutines.Report) (all []Verdict) {
	for i := range r.Verdicts[:min(len(r.Verdicts), maxVerdicts)] {
		v := &r.Verdicts[i]
		w := Verdict{
			Kind: string(v.Kind), Wait: v.Key.Class.String(), Site: v.Key.Site.String(), Entry: v.Key.Entry,
			Count: v.Count, Old: v.Old, Leaked: v.Leaked, PerMinute: v.PerMinute, Evidence: v.Evidence, Hint: v.Hint,
		}
		for _, root := range v.Roots[:min(len(v.Roots), maxListed)] {
			w.Roots = append(w.Roots, Root{Name: root.Name, Count: root.Count})
		}
		all = append(all, w)
	}
	return all
}

// groupsOf returns the groups that have grown most since base, then the largest. Both may be nil.
func groupsOf(now, base *goroutines.Survey) (all []Group) {
	if now == nil {
		return nil
	}
	before := map[goroutines.Key]int{}
	if base != nil {
		for i := range base.Groups {
			before[base.Groups[i].Key] = base.Groups[i].Count
		}
	}
	for i := range now.Groups {
		g := &now.Groups[i]
		all = append(all, Group{Wait: g.Class.String(), Site: g.Site.String(), Entry: g.Entry, Count: g.Count, Base: before[g.Key]})
	}
	sort.SliceStable(all, func(i, j int) bool {
		x, y := &all[i], &all[j]
		return cmp.Or(cmp.Compare(y.Count-y.Base, x.Count-x.Base), cmp.Compare(y.Count, x.Count)) < 0
	})
	return all[:min(len(all), maxGroups)]
}

func eventOf(e *runtimeinfo.Event) *Event {
	if e == nil {
		return nil
	}
	attrs := map[string]any{}
	for _, a := range e.Attrs {
		switch a.Value.Kind() {
		case slog.KindBool, slog.KindInt64, slog.KindUint64, slog.KindTime:
			attrs[a.Key] = a.Value.Any()
		case slog.KindFloat64:
			attrs[a.Key] = finite(a.Value.Float64())
		default:
			attrs[a.Key] = a.Value.String()
		}
	}
	return &Event{
		Time: e.Time, Name: e.Name, Severity: e.Severity.String(), Message: e.Message,
		Attrs: attrs, Spans: spansOf(e.Spans[:min(len(e.Spans), maxListed)], e.Time),
	}
}

func spansOf(spans []runtimeinfo.Span, now time.Time) (all []Span) {
	for i := range spans {
		s := &spans[i]
		all = append(all, Span{TraceID: s.TraceIDString(), SpanID: s.SpanIDString(), Name: s.Name, Start: s.Start, Age: now.Sub(s.Start).Seconds()})
	}
	return all
}
