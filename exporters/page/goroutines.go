// SPDX-License-Identifier: Apache-2.0

package page

import (
	"net/http"
	"slices"
	"sort"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// groupJSON is a group of goroutines as the API has it.
type groupJSON struct {
	ID       uint32       `json:"id"`
	Wait     string       `json:"wait"`
	Family   string       `json:"family"`
	Function string       `json:"function"` // where they wait
	File     string       `json:"file"`
	Line     int          `json:"line"`
	Site     string       `json:"site"` // the three in short
	Entry    string       `json:"entry"`
	Count    int          `json:"count"`
	Before   int          `json:"before"`
	Roots    []rootJSON   `json:"roots,omitempty"` // spans that they were created under, most first
	Stack    []string     `json:"stack,omitempty"` // leaf first
	Verdict  *verdictJSON `json:"verdict,omitempty"`
}

// rootJSON is a root span that goroutines were created under; the name is empty
// for those that were created under none.
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
	Also      []string   `json:"also,omitempty"`
	Roots     []rootJSON `json:"roots,omitempty"`
}

type ageJSON struct {
	AtLeast float64 `json:"at_least"` // seconds
	Count   int     `json:"count"`
}

func verdictOf(v *goroutines.Verdict) *verdictJSON {
	if v == nil {
		return nil
	}
	out := &verdictJSON{
		Kind: string(v.Kind), Suspect: v.Kind.Suspect(), Since: v.Since.UnixMilli(),
		Count: v.Count, Leaked: v.Leaked, Old: v.Old, PerMinute: v.PerMinute,
		Where: placeOf(v.Where), CreatedAt: placeOf(v.Creation), Evidence: v.Evidence, Hint: v.Hint, Memory: v.Memory, ToLimit: v.ToLimit.Seconds(),
	}
	for _, a := range v.Ages {
		out.Ages = append(out.Ages, ageJSON{a.AtLeast.Seconds(), a.Count})
	}
	for _, k := range v.Also {
		out.Also = append(out.Also, k.String())
	}
	for _, r := range v.Roots[:min(len(v.Roots), 8)] {
		out.Roots = append(out.Roots, rootJSON{r.Name, r.Count, refsOf(r.Examples[:min(len(r.Examples), 4)])})
	}
	return out
}

// placeOf returns a place in the code as text, empty for an unknown one.
func placeOf(s goroutines.Site) string {
	if s == (goroutines.Site{}) {
		return ""
	}
	return s.String()
}

// groupOf describes a group; what a verdict knows of its spans is better than
// what its labels say.
func groupOf(id uint32, g *goroutines.Group, v *goroutines.Verdict) groupJSON {
	out := groupJSON{
		ID: id, Wait: g.Class.String(), Family: g.Class.Family(), Function: g.Site.Function,
		File: g.Site.File, Line: g.Site.Line, Site: g.Site.String(), Entry: g.Entry, Count: g.Count, Verdict: verdictOf(v),
	}
	if out.Verdict != nil && len(out.Verdict.Roots) > 0 {
		out.Roots = out.Verdict.Roots
	} else {
		out.Roots = rootsOf(g.Origins)
	}
	for _, s := range g.Stack[:min(len(g.Stack), 12)] {
		out.Stack = append(out.Stack, s.String())
	}
	return out
}

// rootsOf sums births up by root.
func rootsOf(births []goroutines.Origin) []rootJSON {
	var out []rootJSON
	for _, b := range births {
		i := slices.IndexFunc(out, func(r rootJSON) bool { return r.Name == b.Root })
		if i < 0 {
			i = len(out)
			out = append(out, rootJSON{Name: b.Root})
		}
		out[i].Count += b.Count
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Count > out[j].Count })
	return out[:min(len(out), 8)]
}

// byKey indexes the groups of a survey, which may be nil.
func byKey(s *goroutines.Survey) map[goroutines.Key]*goroutines.Group {
	if s == nil {
		return nil
	}
	found := make(map[goroutines.Key]*goroutines.Group, len(s.Groups))
	for i := range s.Groups {
		found[s.Groups[i].Key] = &s.Groups[i]
	}
	return found
}

// serveGoroutines sends what the detective knows now.
func (e *Exporter) serveGoroutines(w http.ResponseWriter, r *http.Request) {
	out := struct {
		Time     int64       `json:"t,omitempty"` // of the survey, Unix ms
		Total    int         `json:"total"`
		Agent    int         `json:"agent"` // the agent's own, in none of the groups
		Cost     float64     `json:"cost"`  // CPU seconds
		Verdicts []groupJSON `json:"verdicts"`
		Groups   []groupJSON `json:"groups"`
	}{Verdicts: []groupJSON{}, Groups: []groupJSON{}}
	if e.config.Goroutines == nil {
		answer(w, r, out)
		return
	}
	report := e.config.Goroutines()
	found := byKey(report.Survey)
	if s := report.Survey; s != nil {
		out.Time, out.Total, out.Agent, out.Cost = s.Time.UnixMilli(), s.Goroutines, s.Agent, s.CPU.Seconds()
		for i := range s.Groups[:min(len(s.Groups), topGroups)] {
			out.Groups = append(out.Groups, groupOf(0, &s.Groups[i], nil))
		}
	}
	for i := range report.Verdicts {
		v := &report.Verdicts[i]
		g := found[v.Key]
		if g == nil {
			g = &goroutines.Group{Key: v.Key, Count: v.Count}
		}
		out.Verdicts = append(out.Verdicts, groupOf(0, g, v))
	}
	answer(w, r, out)
}
