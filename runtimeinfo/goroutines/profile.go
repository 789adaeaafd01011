// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/agentlabel"
	"github.com/gmpulse/gmpulse/internal/profiles"
)

const (
	maxOrigins = 256 // of a group
	maxFrames  = 48  // of a group's stack
	// profiledFrames is the depth to which the runtime records a stack, unless GODEBUG
	// profstackdepth changes it.
	profiledFrames = 128
)

// ParseSurvey makes a survey of a goroutine or goroutineleak profile, such as a stored one, that
// runtime/pprof has written in the format of go tool pprof. Its Time is zero.
func ParseSurvey(data []byte, c SurveyConfig) (*Survey, error) { return parseSurvey(data, c, "") }

// parseSurvey is ParseSurvey. It omits goroutines that are in the function self.
func parseSurvey(data []byte, c SurveyConfig, self string) (*Survey, error) {
	p, err := profiles.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("goroutines: decode goroutine profile: %w", err)
	}
	if len(p.SampleType) == 0 || p.SampleType[0].Type != "goroutine" && p.SampleType[0].Type != leakProfile {
		return nil, errors.New("goroutines: not a goroutine profile")
	}
	return newGrouper(c, self).survey(p), nil
}

// grouper counts the samples of one profile by key. It omits goroutines that are in the function self.
type grouper struct {
	config SurveyConfig
	self   string
	groups map[Key]*sampleGroup
	agent  int

	stack []Site // of the current sample, leaf first
}

// sampleGroup is a group whose Origins and Stack are not set yet.
type sampleGroup struct {
	Group
	origins map[labelPair]int
	example *profile.Sample
}

// labelPair is the labels that an [Origin] counts.
type labelPair struct{ root, epoch string }

func newGrouper(c SurveyConfig, self string) *grouper {
	return &grouper{config: c, self: self, groups: map[Key]*sampleGroup{}}
}

func (g *grouper) survey(p *profile.Profile) *Survey {
	for _, sample := range p.Sample {
		g.add(sample)
	}
	all := slices.SortedFunc(maps.Values(g.groups), (*sampleGroup).compare)
	kept := all[:min(len(all), maxGroups)]
	s := &Survey{Agent: g.agent, Groups: make([]Group, len(kept))}
	for i, x := range kept {
		s.Groups[i] = g.group(x)
		s.Goroutines += x.Count
	}
	for _, x := range all[len(kept):] {
		s.Rest += x.Count
	}
	s.Goroutines += s.Rest
	return s
}

func (g *grouper) add(sample *profile.Sample) {
	n := int(sample.Value[0])
	g.unfold(sample)
	_, agent := sample.Label[agentlabel.Key]
	if agent || slices.ContainsFunc(g.stack, func(s Site) bool { return s.Function == g.self }) {
		g.agent += n
		return
	}
	k := keyOf(g.stack)
	x := g.groups[k]
	if x == nil {
		x = &sampleGroup{Group: Group{Key: k}, origins: map[labelPair]int{}, example: sample}
		g.groups[k] = x
	}
	x.Count += n
	x.origins[labelPair{root: label(sample, g.config.RootLabel), epoch: label(sample, g.config.EpochLabel)}] += n
}

// label returns the value of a label, "" if absent.
func label(sample *profile.Sample, key string) string {
	if values := sample.Label[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// unfold sets stack to the frames of a sample. Inlined calls share a location.
func (g *grouper) unfold(sample *profile.Sample) {
	g.stack = g.stack[:0]
	for _, l := range sample.Location {
		for _, line := range l.Line {
			if f := line.Function; f != nil { // nil: C without symbols
				g.stack = append(g.stack, Site{Function: f.Name, File: f.Filename, Line: int(line.Line)})
			}
		}
	}
}

// keyOf returns the key of a stack, leaf first.
func keyOf(stack []Site) (k Key) {
	if len(stack) == 0 {
		return Key{}
	}
	class, site := waitClassOf(stack)
	entry := entryOf(stack)
	k.Class = class
	if len(stack) < profiledFrames {
		k.Entry = stack[entry].Function
	}
	if class != Running {
		k.Site = stack[site]
		return k
	}
	if k.Entry != "" {
		site = entry
	}
	k.Site = stack[site]
	k.Site.Line = 0
	return k
}

// entryOf returns the index of the function that the goroutine was started with.
func entryOf(stack []Site) int {
	for i := range slices.Backward(stack) {
		if !isLauncher(stack[i].Function) {
			return i
		}
	}
	return len(stack) - 1
}

// compare orders the largest group first.
func (x *sampleGroup) compare(y *sampleGroup) int {
	return cmp.Or(cmp.Compare(y.Count, x.Count), x.Key.compare(y.Key))
}

// group returns the finished group.
func (g *grouper) group(x *sampleGroup) Group {
	g.unfold(x.example)
	n := len(g.stack)
	x.Stack = slices.Clone(g.stack[:min(n, maxFrames)])
	if n > maxFrames {
		x.Stack[maxFrames-1] = g.stack[n-1]
	}
	for labels, n := range x.origins {
		x.Origins = append(x.Origins, Origin{Root: labels.root, Epoch: labels.epoch, Count: n})
	}
	sort.Slice(x.Origins, func(i, j int) bool { return x.Origins[i].compare(x.Origins[j]) < 0 })
	if len(x.Origins) > maxOrigins {
		x.Origins = slices.Clone(x.Origins[:maxOrigins])
	}
	return x.Group
}
