// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"cmp"
	"log/slog"
	"sort"
	"time"

	"github.com/gmpulse/gmpulse/internal/manifest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	maxVerdicts = 20
	maxGroups   = 20
	maxListed   = 10 // for roots of a verdict and spans of an event
)

func verdictsOf(r *goroutines.Report) (all []manifest.Verdict) {
	for i := range r.Verdicts[:min(len(r.Verdicts), maxVerdicts)] {
		v := &r.Verdicts[i]
		w := manifest.Verdict{
			Kind: string(v.Kind), Wait: v.Key.Class.String(), Site: v.Key.Site.String(), Entry: v.Key.Entry,
			Count: v.Count, Old: v.Old, Leaked: v.Leaked, PerMinute: v.PerMinute, Evidence: v.Evidence, Hint: v.Hint,
		}
		for _, root := range v.Roots[:min(len(v.Roots), maxListed)] {
			w.Roots = append(w.Roots, manifest.Root{Name: root.Name, Count: root.Count})
		}
		all = append(all, w)
	}
	return all
}

// groupsOf returns the groups that have grown most since base, then the largest. Both may be nil.
func groupsOf(now, base *goroutines.Survey) (all []manifest.Group) {
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
		all = append(all, manifest.Group{Wait: g.Class.String(), Site: g.Site.String(), Entry: g.Entry, Count: g.Count, Base: before[g.Key]})
	}
	sort.SliceStable(all, func(i, j int) bool {
		x, y := &all[i], &all[j]
		return cmp.Or(cmp.Compare(y.Count-y.Base, x.Count-x.Base), cmp.Compare(y.Count, x.Count)) < 0
	})
	return all[:min(len(all), maxGroups)]
}

func eventOf(e *runtimeinfo.Event) *manifest.Event {
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
	return &manifest.Event{
		Time: e.Time, Name: e.Name, Severity: e.Severity.String(), Message: e.Message,
		Attrs: attrs, Spans: spansOf(e.Spans[:min(len(e.Spans), maxListed)], e.Time),
	}
}

func spansOf(spans []runtimeinfo.Span, now time.Time) (all []manifest.Span) {
	for i := range spans {
		s := &spans[i]
		all = append(all, manifest.Span{TraceID: s.TraceIDString(), SpanID: s.SpanIDString(), Name: s.Name, Start: s.Start, Age: now.Sub(s.Start).Seconds()})
	}
	return all
}
