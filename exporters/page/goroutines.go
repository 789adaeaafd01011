// SPDX-License-Identifier: Apache-2.0

package page

import (
	"net/http"
	"slices"
	"sort"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// maxRoots and maxExamples bound the root spans of a group and the spans of each.
const (
	maxRoots    = 8
	maxExamples = 4
)

// groupJSON is a group of goroutines as the API has it.
type groupJSON struct {
	ID       uint32       `json:"id"`
	Wait     string       `json:"wait"`
	Function string       `json:"function"` // in which they wait
	File     string       `json:"file"`
	Line     int          `json:"line"`
	Site     string       `json:"site"` // the last three in short
	Entry    string       `json:"entry"`
	Count    int          `json:"count"`
	Before   int          `json:"before"`
	Roots    []rootJSON   `json:"roots,omitempty"` // root spans that they were created under, most first
	Stack    []string     `json:"stack,omitempty"` // leaf first
	Verdict  *verdictJSON `json:"verdict,omitempty"`
}

// rootJSON is a root span that goroutines were created under. The name is empty for
// goroutines that were created under none.
type rootJSON struct {
	Name     string    `json:"name"`
	Count    int       `json:"count"`
	Examples []spanRef `json:"examples,omitempty"`
}

type verdictJSON struct {
	Kind      string     `json:"kind"`
	Suspect   bool       `json:"suspect"`
	Since     int64      `json:"since"`
	Count     int        `json:"count"`
	Leaked    int        `json:"leaked,omitempty"`
	Old       int        `json:"old,omitempty"`
	PerMinute float64    `json:"per_minute"`
	Where     string     `json:"where,omitempty"`      // the application's line to look at
	CreatedAt string     `json:"created_at,omitempty"` // the line that creates them
	Evidence  string     `json:"evidence,omitempty"`
	Hint      string     `json:"hint,omitempty"`
	Ages      []ageJSON  `json:"ages,omitempty"`
	Memory    float64    `json:"stack_bytes,omitempty"`
	ToLimit   float64    `json:"until_memory_limit,omitempty"` // seconds
	Roots     []rootJSON `json:"roots,omitempty"`
}

type ageJSON struct {
	AtLeast float64 `json:"at_least"` // seconds
	Count   int     `json:"count"`
}

func newVerdictJSON(v *goroutines.Verdict) *verdictJSON {
	out := &verdictJSON{
		Kind: string(v.Kind), Suspect: v.Kind.Suspect(), Since: v.Since.UnixMilli(),
		Count: v.Count, Leaked: v.Leaked, Old: v.Old, PerMinute: v.PerMinute,
		Where: siteString(v.Where), CreatedAt: siteString(v.Creation), Evidence: v.Evidence, Hint: v.Hint, Memory: v.Memory, ToLimit: v.ToLimit.Seconds(),
	}
	for _, a := range v.Ages {
		out.Ages = append(out.Ages, ageJSON{a.AtLeast.Seconds(), a.Count})
	}
	for _, r := range v.Roots[:min(len(v.Roots), maxRoots)] {
		out.Roots = append(out.Roots, rootJSON{r.Name, r.Count, refsOf(r.Examples, maxExamples)})
	}
	return out
}

// siteString returns the empty string for an unknown site.
func siteString(s goroutines.Site) string {
	if s == (goroutines.Site{}) {
		return ""
	}
	return s.String()
}

// newGroupJSON describes a group. v may be nil. The root spans of a verdict are more
// accurate than the root spans in the group's labels.
func newGroupJSON(id uint32, g *goroutines.Group, v *goroutines.Verdict) groupJSON {
	out := groupJSON{
		ID: id, Wait: g.Class.String(), Function: g.Site.Function,
		File: g.Site.File, Line: g.Site.Line, Site: g.Site.String(), Entry: g.Entry, Count: g.Count,
	}
	if v != nil {
		out.Verdict = newVerdictJSON(v)
		out.Roots = out.Verdict.Roots
	}
	if len(out.Roots) == 0 {
		out.Roots = rootsOf(g.Origins)
	}
	for _, s := range g.Stack[:min(len(g.Stack), maxFrames)] {
		out.Stack = append(out.Stack, s.String())
	}
	return out
}

// rootsOf adds up origins by root span.
func rootsOf(origins []goroutines.Origin) []rootJSON {
	var out []rootJSON
	for _, o := range origins {
		i := slices.IndexFunc(out, func(r rootJSON) bool { return r.Name == o.Root })
		if i < 0 {
			i = len(out)
			out = append(out, rootJSON{Name: o.Root})
		}
		out[i].Count += o.Count
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Count > out[j].Count })
	return out[:min(len(out), maxRoots)]
}

// goroutinesJSON is the answer of api/v1/goroutines.
type goroutinesJSON struct {
	Time     int64       `json:"t,omitempty"` // of the survey, Unix ms
	Total    int         `json:"total"`
	Agent    int         `json:"agent"` // the agent's own goroutines, which are in no group
	Cost     float64     `json:"cost"`  // CPU seconds
	Verdicts []groupJSON `json:"verdicts"`
	Groups   []groupJSON `json:"groups"`
}

// goroutines returns the last survey and the verdicts in force.
func (e *Exporter) goroutines(*http.Request) (any, error) {
	out := goroutinesJSON{Verdicts: []groupJSON{}, Groups: []groupJSON{}}
	if e.config.Goroutines == nil {
		return out, nil
	}
	report := e.config.Goroutines()
	groups := map[goroutines.Key]*goroutines.Group{}
	if s := report.Survey; s != nil {
		out.Time, out.Total, out.Agent, out.Cost = s.Time.UnixMilli(), s.Goroutines, s.Agent, s.CPU.Seconds()
		for i := range s.Groups {
			groups[s.Groups[i].Key] = &s.Groups[i]
		}
		for i := range s.Groups[:min(len(s.Groups), topGroups)] {
			out.Groups = append(out.Groups, newGroupJSON(0, &s.Groups[i], nil))
		}
	}
	for i := range report.Verdicts {
		v := &report.Verdicts[i]
		g := groups[v.Key]
		if g == nil {
			g = &goroutines.Group{Key: v.Key, Count: v.Count}
		}
		out.Verdicts = append(out.Verdicts, newGroupJSON(0, g, v))
	}
	return out, nil
}
