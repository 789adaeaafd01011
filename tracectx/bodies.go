// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"cmp"
	"runtime"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	maxBodyPairs  = 50
	maxOpenBodies = 16_384 // of about 300 bytes
	maxBodyAges   = 64     // per pair

	// bodyAgeStep is how far apart two entries of bodyPair.ages begin at least.
	bodyAgeStep = time.Second
)

// bodies counts the open response bodies of HTTP clients.
type bodies struct {
	lines lines

	mu        sync.Mutex
	base      time.Time // the zero of durations; set by the first response
	pairs     map[bodyKey]*bodyPair
	total     int    // open ones
	untracked uint64 // responses beyond maxOpenBodies
	reporter  lossReporter
}

// bodyKey is what bodies are counted by.
type bodyKey struct{ root, line string }

// bodyPair counts the open bodies of one root span and line.
type bodyPair struct {
	bodyKey

	open, lost int
	lostHTTP1  int // the part of lost in responses of HTTP/1
	// ages has the numbers of open bodies by the time of their response, oldest first. The first
	// one is not empty, unless it is the only one.
	ages []bodyAge
}

// bodyAge counts the open bodies whose response came at begin or later.
type bodyAge struct {
	begin time.Duration // since bodies.base
	open  int
}

// openBody is a body that counts as open. It does not refer to the body itself.
type openBody struct {
	all     *bodies
	pair    *bodyPair
	begin   time.Duration
	http1   bool
	lost    bool
	ended   bool
	stop    func() bool // nil: its context cannot be done
	cleanup runtime.Cleanup
}

// open adds a body, whose response the calling goroutine has just received. It reports whether
// there was room.
func (a *bodies) open(b *openBody, root string) bool {
	line := a.lines.caller()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.total == maxOpenBodies {
		a.untracked++
		return false
	}
	if a.base.IsZero() {
		a.base, a.pairs = time.Now(), map[bodyKey]*bodyPair{}
	}
	a.total++
	b.pair, b.begin = a.pair(bodyKey{root, line}), time.Since(a.base)
	b.pair.add(b.begin)
	return true
}

// pair returns the pair of a key. If there are too many, it replaces one without open bodies, or
// returns the pair "other". The caller holds a.mu.
func (a *bodies) pair(key bodyKey) *bodyPair {
	p := a.pairs[key]
	if p != nil {
		return p
	}
	if len(a.pairs) >= maxBodyPairs && !a.dropIdle() {
		key = bodyKey{otherName, otherName}
		if p = a.pairs[key]; p != nil {
			return p
		}
	}
	p = &bodyPair{bodyKey: key}
	a.pairs[key] = p
	return p
}

// dropIdle removes a pair without open bodies, if there is one.
func (a *bodies) dropIdle() bool {
	for key, p := range a.pairs {
		if p.open == 0 {
			delete(a.pairs, key)
			return true
		}
	}
	return false
}

// end removes the body, unless that has been done.
func (b *openBody) end() {
	b.all.mu.Lock()
	defer b.all.mu.Unlock()
	if b.ended {
		return
	}
	b.ended = true
	b.all.total--
	b.pair.remove(b.begin)
	b.countLost(-1)
}

// finish is end for a body that the application has closed or read to its end.
func (b *openBody) finish() {
	b.end()
	if b.stop != nil {
		b.stop()
	}
	b.cleanup.Stop()
}

// lose records that no code can reach the body. The runtime calls it.
func (b *openBody) lose() {
	b.all.mu.Lock()
	defer b.all.mu.Unlock()
	if !b.ended {
		b.lost = true
		b.countLost(1)
	}
}

// countLost adds n to the counts of lost bodies, if this body is lost.
func (b *openBody) countLost(n int) {
	if !b.lost {
		return
	}
	b.pair.lost += n
	if b.http1 {
		b.pair.lostHTTP1 += n
	}
}

// add counts a body whose response came at begin.
func (p *bodyPair) add(begin time.Duration) {
	p.open++
	if n := len(p.ages); n == 0 || begin >= p.ages[n-1].begin+bodyAgeStep {
		p.ages = slices.DeleteFunc(p.ages, func(a bodyAge) bool { return a.open == 0 })
		if len(p.ages) == maxBodyAges {
			p.merge()
		}
		p.ages = append(p.ages, bodyAge{begin: begin})
	}
	p.ages[len(p.ages)-1].open++
}

// merge halves the resolution of the older half of the ages.
func (p *bodyPair) merge() {
	kept := p.ages[:0]
	for i, a := range p.ages {
		if i < maxBodyAges/2 && i%2 == 1 {
			kept[len(kept)-1].open += a.open
			continue
		}
		kept = append(kept, a)
	}
	p.ages = kept
}

// remove removes a body that was added with the same time.
func (p *bodyPair) remove(begin time.Duration) {
	p.open--
	i := sort.Search(len(p.ages), func(i int) bool { return p.ages[i].begin > begin })
	p.ages[i-1].open--
}

// oldest returns when the response of the oldest open body came; ok is false if none is open.
func (p *bodyPair) oldest() (begin time.Duration, ok bool) {
	for _, a := range p.ages {
		if a.open > 0 {
			return a.begin, true
		}
	}
	return 0, false
}

// addTo adds the metrics of the bodies and their events to a draft.
func (a *bodies) addTo(d *runtimeinfo.Draft, full func(root string) string) {
	now := d.Snapshot().Time
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.base.IsZero() { // Transport is not used
		return
	}
	pairs := make([]*bodyPair, 0, len(a.pairs))
	for _, p := range a.pairs {
		pairs = append(pairs, p)
	}
	sort.Slice(pairs, func(i, j int) bool {
		return cmp.Or(cmp.Compare(pairs[i].root, pairs[j].root), cmp.Compare(pairs[i].line, pairs[j].line)) < 0
	})
	for _, p := range pairs {
		d.Add(openBodies, float64(p.open), full(p.root), p.line)
	}
	for _, p := range pairs {
		if begin, ok := p.oldest(); ok {
			d.Add(oldestBody, max(0, (now.Sub(a.base)-begin).Seconds()), full(p.root), p.line)
		}
	}
	for _, p := range pairs {
		if p.lost > 0 {
			d.Add(lostBodies, float64(p.lost), full(p.root), p.line)
		}
	}
	d.Add(untrackedBodies, float64(a.untracked))
	d.Events = append(d.Events, a.reporter.report(pairs, now, full)...)
}
