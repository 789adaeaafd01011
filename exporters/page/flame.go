// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	// maxProfileBytes is the largest compressed profile that is decoded.
	maxProfileBytes = 16 << 20
	// maxNodes bounds a flame graph while it is built. Nodes of less than one part in
	// flameDetail of the total, which are narrower than a pixel, are removed afterwards.
	maxNodes    = 200_000
	flameDetail = 2000
)

// flameJSON is a flame graph: a tree of functions, roots first.
type flameJSON struct {
	Type   string   `json:"type"`             // sample type, such as "inuse_space"
	Unit   string   `json:"unit"`             // such as "bytes"
	Types  []string `json:"types"`            // values of the parameter sample
	Labels []string `json:"labels,omitempty"` // values of the parameter label
	Total  int64    `json:"total"`
	Names  []string `json:"names"`
	Tree   *node    `json:"tree"`
	Pruned int      `json:"pruned,omitempty"` // number of nodes that were too narrow

	index map[string]int // in Names
	nodes int
}

// node is a function in the tree.
type node struct {
	Name     int     `json:"n"` // index in Names
	Value    int64   `json:"v"` // of the function and all that it called
	Children []*node `json:"c,omitempty"`

	index map[int]*node // children by name
}

func newFlame(kind, unit string) *flameJSON {
	f := &flameJSON{Type: kind, Unit: unit, index: map[string]int{}, Types: []string{}}
	f.Tree = &node{Name: f.name("all")}
	return f
}

// name returns the index of a name.
func (f *flameJSON) name(s string) int {
	i, ok := f.index[s]
	if !ok {
		i = len(f.Names)
		f.index[s] = i
		f.Names = append(f.Names, s)
	}
	return i
}

// add adds a stack, root first. It drops the rest of the stack once there are maxNodes nodes.
func (f *flameJSON) add(stack []string, value int64) {
	f.Total += value
	f.Tree.Value += value
	at := f.Tree
	for _, s := range stack {
		name := f.name(s)
		next := at.index[name]
		if next == nil {
			if f.nodes == maxNodes {
				return
			}
			f.nodes++
			next = &node{Name: name}
			if at.index == nil {
				at.index = map[int]*node{}
			}
			at.index[name] = next
		}
		at = next
		at.Value += value
	}
}

// finish sorts the tree and removes narrow nodes.
func (f *flameJSON) finish() { f.prune(f.Tree, max(1, f.Total/flameDetail)) }

func (f *flameJSON) prune(n *node, least int64) {
	for _, c := range n.index {
		if c.Value < least {
			f.Pruned++
			continue
		}
		f.prune(c, least)
		n.Children = append(n.Children, c)
	}
	slices.SortFunc(n.Children, func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(f.Names[a.Name], f.Names[b.Name]))
	})
}

// profileFlame returns the flame graph of a profile for one of its sample types, by
// default the preferred one or the last. With a label, its values are the roots.
func profileFlame(p *profile.Profile, sample int, label string) (*flameJSON, error) {
	if len(p.SampleType) == 0 {
		return nil, errors.New("the profile has no values")
	}
	if sample < 0 || sample >= len(p.SampleType) {
		sample = slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == p.DefaultSampleType })
	}
	if sample < 0 {
		sample = len(p.SampleType) - 1
	}
	f := newFlame(p.SampleType[sample].Type, p.SampleType[sample].Unit)
	for _, t := range p.SampleType {
		f.Types = append(f.Types, t.Type)
	}
	labels := map[string]bool{}
	for _, s := range p.Sample {
		for k := range s.Label {
			labels[k] = true
		}
		if s.Value[sample] <= 0 {
			continue
		}
		var stack []string
		if v := s.Label[label]; len(v) > 0 {
			stack = append(stack, v[0])
		} else if label != "" {
			stack = append(stack, "(no "+label+")")
		}
		f.add(appendStack(stack, s), s.Value[sample])
	}
	f.Labels = slices.Sorted(maps.Keys(labels))
	f.finish()
	return f, nil
}

// appendStack appends the functions of a sample, root first, including inlined ones.
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

// surveyFlame returns the flame graph of all goroutines. The roots are wait classes.
func surveyFlame(s *goroutines.Survey) *flameJSON {
	f := newFlame("goroutine", "count")
	for i := range s.Groups {
		g := &s.Groups[i]
		stack := []string{g.Class.String()}
		for _, site := range slices.Backward(g.Stack) {
			stack = append(stack, site.Function)
		}
		f.add(stack, int64(g.Count))
	}
	f.finish()
	return f
}

// flame returns the flame graph of a profile of a capture, or, without the parameter
// id, of the goroutines at the last survey.
func (e *Exporter) flame(r *http.Request, c *captures) (any, error) {
	q := r.URL.Query()
	if q.Get("id") == "" {
		if e.config.Goroutines == nil {
			return nil, &statusError{http.StatusNotFound, "goroutines are not surveyed"}
		}
		s := e.config.Goroutines().Survey
		if s == nil {
			return nil, &statusError{http.StatusNotFound, "goroutines have not been surveyed yet"}
		}
		return surveyFlame(s), nil
	}
	sample, err := strconv.Atoi(cmp.Or(q.Get("sample"), "-1"))
	if err != nil {
		return nil, &statusError{http.StatusBadRequest, "sample: want a number"}
	}
	data, err := c.readProfile(q.Get("id"), q.Get("file"))
	if err != nil {
		return nil, err
	}
	p, err := profiles.Decode(data)
	if err != nil {
		return nil, &statusError{http.StatusUnprocessableEntity, err.Error()}
	}
	f, err := profileFlame(p, sample, q.Get("label"))
	if err != nil {
		return nil, &statusError{http.StatusUnprocessableEntity, err.Error()}
	}
	return f, nil
}

// readProfile returns a compressed profile of a capture.
func (c *captures) readProfile(id, name string) ([]byte, error) {
	f, info, err := c.open(id, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	if describeFile(name, 0).Kind != "profile" {
		return nil, &statusError{http.StatusNotFound, "no profile of that name"}
	}
	if info.Size() > maxProfileBytes {
		return nil, &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the profile has %d MB: use go tool pprof", info.Size()>>20)}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxProfileBytes))
	if err != nil {
		return nil, &statusError{http.StatusUnprocessableEntity, err.Error()}
	}
	return data, nil
}
