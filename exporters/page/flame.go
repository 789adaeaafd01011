// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	// maxProfileBytes is the largest profile that is decoded, packed as it lies
	// on disk.
	maxProfileBytes = 16 << 20
	// maxNodes bounds a flame graph while it is made; what is narrower than one
	// part in flameDetail is left out afterwards: it would be less than a pixel.
	maxNodes    = 200_000
	flameDetail = 2000
)

// flame is a flame graph: a tree of functions, roots first, with what each and
// all that it called have of a value.
type flame struct {
	Type   string   `json:"type"`             // what is counted: "inuse_space"
	Unit   string   `json:"unit"`             // "bytes"
	Types  []string `json:"types"`            // to choose from by ?sample=
	Labels []string `json:"labels,omitempty"` // to group by with ?label=
	Total  int64    `json:"total"`
	Names  []string `json:"names"`
	Tree   *node    `json:"tree"`
	Pruned int      `json:"pruned,omitempty"` // nodes too narrow to draw

	index map[string]int
	nodes int
}

// node is one function in the tree.
type node struct {
	Name     int     `json:"n"` // index into names
	Value    int64   `json:"v"`
	Children []*node `json:"c,omitempty"`

	index map[int]*node // children by name, while the graph is made; nil for few
}

// child returns the child of a name, nil if there is none.
func (n *node) child(name int) *node {
	if n.index != nil {
		return n.index[name]
	}
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// grow adds a child. Many are found by an index.
func (n *node) grow(name int) *node {
	const few = 16
	c := &node{Name: name}
	n.Children = append(n.Children, c)
	if n.index == nil && len(n.Children) > few {
		n.index = make(map[int]*node, 2*few)
		for _, c := range n.Children {
			n.index[c.Name] = c
		}
	}
	if n.index != nil {
		n.index[name] = c
	}
	return c
}

func newFlame(kind, unit string) *flame {
	f := &flame{Type: kind, Unit: unit, index: map[string]int{}, Types: []string{}}
	f.Tree = &node{Name: f.name("all")}
	return f
}

func (f *flame) name(s string) int {
	i, ok := f.index[s]
	if !ok {
		i = len(f.Names)
		f.index[s] = i
		f.Names = append(f.Names, s)
	}
	return i
}

// add puts one stack into the tree, roots first.
func (f *flame) add(stack []string, value int64) {
	f.Total += value
	f.Tree.Value += value
	at := f.Tree
	for _, s := range stack {
		name := f.name(s)
		next := at.child(name)
		if next == nil {
			if f.nodes == maxNodes {
				return
			}
			f.nodes++
			next = at.grow(name)
		}
		at = next
		at.Value += value
	}
}

// finish sorts the tree and leaves out what cannot be seen.
func (f *flame) finish() { f.prune(f.Tree, max(1, f.Total/flameDetail)) }

func (f *flame) prune(n *node, least int64) {
	n.index = nil
	kept := n.Children[:0]
	for _, c := range n.Children {
		if c.Value < least {
			f.Pruned++
			continue
		}
		f.prune(c, least)
		kept = append(kept, c)
	}
	n.Children = kept
	slices.SortFunc(kept, func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(f.Names[a.Name], f.Names[b.Name]))
	})
}

// flameOf makes the flame graph of a profile: of one of its sample types, by
// default the one the profile prefers or the last, and with the value of a label
// as the root of each stack, if one is asked for.
func flameOf(p *profile.Profile, sample int, label string) (*flame, error) {
	if len(p.SampleType) == 0 {
		return nil, errors.New("the profile has no values")
	}
	if sample < 0 || sample >= len(p.SampleType) {
		sample = preferred(p)
	}
	f := newFlame(p.SampleType[sample].Type, p.SampleType[sample].Unit)
	for _, t := range p.SampleType {
		f.Types = append(f.Types, t.Type)
	}
	labels := map[string]bool{}
	var stack []string
	for _, s := range p.Sample {
		for k := range s.Label {
			labels[k] = true
		}
		if s.Value[sample] <= 0 {
			continue
		}
		stack = stack[:0]
		if label != "" {
			stack = append(stack, labelOf(s, label))
		}
		f.add(appendStack(stack, s), s.Value[sample])
	}
	for k := range labels {
		f.Labels = append(f.Labels, k)
	}
	slices.Sort(f.Labels)
	f.finish()
	return f, nil
}

func preferred(p *profile.Profile) int {
	i := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == p.DefaultSampleType })
	if i < 0 {
		return len(p.SampleType) - 1
	}
	return i
}

func labelOf(s *profile.Sample, key string) string {
	if v := s.Label[key]; len(v) > 0 {
		return v[0]
	}
	return "(no " + key + ")"
}

// appendStack appends the functions of a sample, roots first, inlined ones too.
func appendStack(stack []string, s *profile.Sample) []string {
	for _, loc := range slices.Backward(s.Location) {
		if len(loc.Line) == 0 {
			stack = append(stack, fmt.Sprintf("0x%x", loc.Address))
			continue
		}
		for _, line := range slices.Backward(loc.Line) {
			if line.Function != nil {
				stack = append(stack, line.Function.Name)
			}
		}
	}
	return stack
}

// flameOfSurvey makes the flame graph of the goroutines as they are now; roots
// are the wait classes.
func flameOfSurvey(s *goroutines.Survey) *flame {
	f := newFlame("goroutine", "count")
	var stack []string
	for i := range s.Groups {
		g := &s.Groups[i]
		stack = append(stack[:0], g.Class.String())
		for _, frame := range slices.Backward(g.Stack) {
			stack = append(stack, frame.Function)
		}
		f.add(stack, int64(g.Count))
	}
	f.finish()
	return f
}

// serveFlame sends the flame graph of a file of a bundle, or, without an id,
// that of the goroutines now.
func (e *Exporter) serveFlame(c *captures) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("id") == "" {
			e.serveSurveyFlame(w, r)
			return
		}
		sample, err := strconv.Atoi(cmp.Or(q.Get("sample"), "-1"))
		if err != nil {
			fail(w, http.StatusBadRequest, "sample: want a number")
			return
		}
		f, code, err := c.flame(q.Get("id"), q.Get("file"), sample, q.Get("label"))
		if err != nil {
			fail(w, code, err.Error())
			return
		}
		answer(w, r, f)
	}
}

func (e *Exporter) serveSurveyFlame(w http.ResponseWriter, r *http.Request) {
	if e.config.Goroutines == nil {
		fail(w, http.StatusNotFound, "goroutines are not surveyed")
		return
	}
	report := e.config.Goroutines()
	if report.Survey == nil {
		fail(w, http.StatusNotFound, "goroutines have not been surveyed yet")
		return
	}
	answer(w, r, flameOfSurvey(report.Survey))
}

// flame decodes a profile.
func (c *captures) flame(id, name string, sample int, label string) (f *flame, code int, err error) {
	file, err := c.file(id, name)
	if err != nil {
		return nil, http.StatusNotFound, errors.New("no such capture or file")
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil || info.IsDir() || fileOf(name, 0).Kind != "profile" {
		return nil, http.StatusNotFound, errors.New("no profile of that name")
	}
	if info.Size() > maxProfileBytes {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the profile has %d MB: use go tool pprof", info.Size()>>20)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxProfileBytes))
	if err != nil {
		return nil, http.StatusUnprocessableEntity, err
	}
	p, err := profiles.Decode(data)
	if err != nil {
		return nil, http.StatusUnprocessableEntity, err
	}
	f, err = flameOf(p, sample, label)
	return f, http.StatusUnprocessableEntity, err
}
