// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx"
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

	// Of stored profiles: the time that they cover, in Unix ms, and their number.
	From     int64 `json:"from,omitempty"`
	To       int64 `json:"to,omitempty"`
	Profiles int   `json:"profiles,omitempty"`
	// Of a difference: total and time of what is compared with.
	BaseTotal *int64 `json:"base_total,omitempty"`
	BaseFrom  int64  `json:"base_from,omitempty"`
	BaseTo    int64  `json:"base_to,omitempty"`

	index map[string]int // in Names
	nodes int
}

// node is a function in the tree.
type node struct {
	Name     int     `json:"n"`           // index in Names
	Value    int64   `json:"v"`           // of the function and all that it called
	Base     *int64  `json:"b,omitempty"` // of a difference: the value before
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

// side is one side of a difference.
type side bool

const (
	addNow  side = false
	addBase side = true
)

// add adds a stack, root first. It drops the rest of the stack once there are maxNodes nodes.
func (f *flameJSON) add(stack []string, value int64, to side) {
	if to == addBase {
		*f.BaseTotal += value
	} else {
		f.Total += value
	}
	at := f.Tree
	at.add(value, to)
	for _, s := range stack {
		name := f.name(s)
		next := at.index[name]
		if next == nil {
			if f.nodes == maxNodes {
				return
			}
			f.nodes++
			next = &node{Name: name}
			if f.BaseTotal != nil {
				next.Base = new(int64)
			}
			if at.index == nil {
				at.index = map[int]*node{}
			}
			at.index[name] = next
		}
		at = next
		at.add(value, to)
	}
}

func (n *node) add(value int64, to side) {
	if to == addBase {
		*n.Base += value
		return
	}
	n.Value += value
}

// most returns the larger value of both sides.
func (n *node) most() int64 {
	if n.Base == nil {
		return n.Value
	}
	return max(n.Value, *n.Base)
}

// finish sorts the tree and removes narrow nodes.
func (f *flameJSON) finish() { f.prune(f.Tree, max(1, f.Tree.most()/flameDetail)) }

func (f *flameJSON) prune(n *node, least int64) {
	for _, c := range n.index {
		if c.most() < least {
			f.Pruned++
			continue
		}
		f.prune(c, least)
		n.Children = append(n.Children, c)
	}
	slices.SortFunc(n.Children, func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.most(), a.most()), cmp.Compare(f.Names[a.Name], f.Names[b.Name]))
	})
}

// choose sets the sample types, and returns the index of the chosen one: sample or, if there is no
// such index, the preferred one or the last.
func (f *flameJSON) choose(p *profile.Profile, sample int) (int, error) {
	if len(p.SampleType) == 0 {
		return 0, errors.New("the profile has no values")
	}
	if sample < 0 || sample >= len(p.SampleType) {
		sample = slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == p.DefaultSampleType })
	}
	if sample < 0 {
		sample = len(p.SampleType) - 1
	}
	f.Type, f.Unit = p.SampleType[sample].Type, p.SampleType[sample].Unit
	f.Types = f.Types[:0]
	for _, t := range p.SampleType {
		f.Types = append(f.Types, t.Type)
	}
	return sample, nil
}

// addSample adds a sample of a profile. With a label, its values are the roots.
func (f *flameJSON) addSample(s *profile.Sample, label string, value int64, to side) {
	if value <= 0 {
		return
	}
	var stack []string
	if v := s.Label[label]; len(v) > 0 {
		stack = append(stack, v[0])
	} else if label != "" {
		stack = append(stack, "(no "+label+")")
	}
	f.add(appendStack(stack, s), value, to)
}

// flameOptions are the parameters of a flame graph of profiles.
type flameOptions struct {
	sample int    // index of the sample type, see choose
	label  string // the label whose values are the roots; "" if there is none
	// root restricts the graph to the root span with this name, which is in the label rootLabel. "" is no
	// restriction.
	root, rootLabel string
}

// flameOptionsOf reads the parameters sample and label.
func flameOptionsOf(q url.Values) (o flameOptions, err error) {
	o.label = q.Get("label")
	if o.sample, err = strconv.Atoi(cmp.Or(q.Get("sample"), "-1")); err != nil {
		return o, &statusError{http.StatusBadRequest, "sample: want a number"}
	}
	return o, nil
}

// addProfile adds the samples of an encoded profile, multiplied by scale, to one side.
func (f *flameJSON) addProfile(data []byte, o flameOptions, scale float64, to side) error {
	p, err := profiles.Decode(data)
	sample := 0
	if err == nil {
		sample, err = f.choose(p, o.sample)
	}
	if err != nil {
		return &statusError{http.StatusUnprocessableEntity, err.Error()}
	}
	for _, s := range p.Sample {
		f.addLabels(s)
		if values := s.Label[o.rootLabel]; o.root != "" && (len(values) == 0 || values[0] != tracectx.LabelValue(o.root)) {
			continue
		}
		f.addSample(s, o.label, int64(math.Round(scale*float64(s.Value[sample]))), to)
	}
	return nil
}

// addLabels adds the keys of the labels of a sample, in order.
func (f *flameJSON) addLabels(s *profile.Sample) {
	for k := range s.Label {
		if i, known := slices.BinarySearch(f.Labels, k); !known {
			f.Labels = slices.Insert(f.Labels, i, k)
		}
	}
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
		f.add(stack, int64(g.Count), addNow)
	}
	f.finish()
	return f
}

// flame returns the flame graph of a profile of a capture, of profiles of the past with the parameter
// history, or, without the parameter id, of the goroutines at the last survey.
func (e *Exporter) flame(r *http.Request, c *captures) (any, error) {
	q := r.URL.Query()
	if q.Get("history") != "" {
		return e.pastFlame(r)
	}
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
	o, err := flameOptionsOf(q)
	if err != nil {
		return nil, err
	}
	data, err := c.readProfile(q.Get("id"), q.Get("file"))
	if err != nil {
		return nil, err
	}
	f := newFlame("", "")
	if err := f.addProfile(data, o, 1, addNow); err != nil {
		return nil, err
	}
	f.finish()
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
