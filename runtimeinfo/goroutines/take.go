// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/pprof"
	"slices"
	"sort"
	"time"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/internal/profiles"
)

const (
	maxBirths = 256
	maxFrames = 48
	// profiledFrames is how deep the runtime records a stack, unless GODEBUG
	// profstackdepth says otherwise.
	profiledFrames = 128
)

// take makes a survey of the named profile, without the goroutines that are in
// the function self. It also returns the CPU time of the whole process
// meanwhile; 0 where the system does not tell.
func take(ctx context.Context, name string, c Config, self string) (*Survey, time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	meter := cputime.Start()
	defer meter.Stop()
	started, before := time.Now(), cputime.Process()
	p, size, err := capture(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	s := newCensus(c, self).count(p)
	s.Time, s.Bytes = started, size
	s.Wall = time.Since(started)
	s.CPU = meter.Elapsed()
	process := cputime.Process() - before
	if process > 0 {
		s.CPU = min(s.CPU, process)
	}
	return s, process, nil
}

// capture returns the named profile, and how many bytes it had encoded. Corrupt
// labels make the profiler panic (timandy/routine#4): that must not take the
// application along.
func capture(ctx context.Context, name string) (p *profile.Profile, size int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrProfiler, r)
		}
	}()
	source := pprof.Lookup(name)
	if source == nil {
		return nil, 0, errors.New("goroutines: no profile is called " + name)
	}
	var b bytes.Buffer
	// Never debug=2: it stops the world for 8 µs for each goroutine.
	if err := source.WriteTo(&b, 0); err != nil {
		return nil, 0, fmt.Errorf("goroutines: %s profile: %w", name, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	size = b.Len()
	if p, err = profiles.Decode(b.Bytes()); err != nil {
		return nil, 0, fmt.Errorf("goroutines: decode %s profile: %w", name, err)
	}
	return p, size, nil
}

// census counts the samples of one profile.
type census struct {
	config  Config
	self    string
	tallies map[Key]*tally
	agent   int

	frames    []profile.Line // of the sample at hand, leaf first
	functions []string       // theirs
}

type tally struct {
	key     Key
	count   int
	births  map[origin]int
	example *profile.Sample
}

// origin is what a Birth counts.
type origin struct{ root, epoch string }

func newCensus(c Config, self string) *census {
	return &census{config: c, self: self, tallies: map[Key]*tally{}}
}

func (c *census) count(p *profile.Profile) *Survey {
	for _, sample := range p.Sample {
		c.add(sample)
	}
	// Only now is it known which groups are the largest: the profile is in
	// memory anyway, and the keys are less than it.
	tallies := slices.SortedFunc(maps.Values(c.tallies), (*tally).compare)
	kept := tallies[:min(len(tallies), c.config.MaxGroups)]
	s := &Survey{Agent: c.agent, Groups: make([]Group, len(kept))}
	for i, t := range kept {
		s.Groups[i] = c.group(t)
		s.Goroutines += t.count
	}
	for _, t := range tallies[len(kept):] {
		s.Rest += t.count
	}
	s.Goroutines += s.Rest
	return s
}

func (c *census) add(sample *profile.Sample) {
	n := int(sample.Value[0])
	c.unfold(sample)
	_, agents := sample.Label[c.config.AgentLabel]
	if agents || slices.Contains(c.functions, c.self) {
		c.agent += n
		return
	}
	k := c.key()
	t := c.tallies[k]
	if t == nil {
		t = &tally{key: k, births: map[origin]int{}, example: sample}
		c.tallies[k] = t
	}
	t.count += n
	t.births[origin{
		root:  label(sample, c.config.RootLabel),
		epoch: label(sample, c.config.EpochLabel),
	}] += n
}

// label returns the value of a label, empty when there is none.
func label(sample *profile.Sample, key string) string {
	if values := sample.Label[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// unfold lists the frames of a sample: inlined calls share a location.
func (c *census) unfold(sample *profile.Sample) {
	c.frames, c.functions = c.frames[:0], c.functions[:0]
	for _, l := range sample.Location {
		for _, line := range l.Line {
			if line.Function == nil {
				continue // C, without a symboliser
			}
			c.frames = append(c.frames, line)
			c.functions = append(c.functions, line.Function.Name)
		}
	}
}

// key returns the key of the sample last unfolded.
func (c *census) key() Key {
	return keyOf(c.functions, func(i int) Site { return siteOf(c.frames[i]) })
}

// keyOf returns the key of a stack, leaf first.
func keyOf(functions []string, frame func(i int) Site) Key {
	if len(functions) == 0 {
		return Key{}
	}
	var k Key
	class, site := Classify(functions)
	entry := entryOf(functions)
	k.Class = class
	if len(functions) < profiledFrames {
		k.Entry = functions[entry]
	}
	if class != Running {
		k.Site = frame(site)
		return k
	}
	if k.Entry != "" {
		site = entry
	}
	k.Site = frame(site)
	k.Site.Line = 0
	return k
}

// entryOf returns the index of the function that the goroutine was started
// with: the outermost that somebody wrote to be started.
func entryOf(functions []string) int {
	for i, f := range slices.Backward(functions) {
		if !isLauncher(f) {
			return i
		}
	}
	return len(functions) - 1
}

func siteOf(l profile.Line) Site {
	return Site{Function: l.Function.Name, File: l.Function.Filename, Line: int(l.Line)}
}

// compare orders the largest first, so that a bound keeps what matters.
func (t *tally) compare(u *tally) int {
	return cmp.Or(cmp.Compare(u.count, t.count), t.key.compare(u.key))
}

func (c *census) group(t *tally) Group {
	g := Group{Key: t.key, Count: t.count}
	c.unfold(t.example)
	g.Stack = make([]Site, min(len(c.frames), maxFrames))
	for i := range g.Stack {
		g.Stack[i] = siteOf(c.frames[i])
	}
	if len(c.frames) > maxFrames {
		g.Stack[maxFrames-1] = siteOf(c.frames[len(c.frames)-1])
	}
	g.Births, g.OtherBirths = births(t.births)
	return g
}

// births returns the most frequent ones, and how many goroutines are in others.
func births(counts map[origin]int) (kept []Birth, others int) {
	all := make([]Birth, 0, len(counts))
	for o, n := range counts {
		all = append(all, Birth{Root: o.root, Epoch: o.epoch, Count: n})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].compare(all[j]) < 0 })
	if len(all) <= maxBirths {
		return all, 0
	}
	for _, b := range all[maxBirths:] {
		others += b.Count
	}
	return slices.Clone(all[:maxBirths]), others
}
