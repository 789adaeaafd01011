// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"cmp"
	"maps"
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
)

// bodies has the open response bodies of HTTP clients.
type bodies struct {
	lines lines

	mu        sync.Mutex
	pairs     map[bodyKey]*bodyPair // nil before the first response
	total     int                   // open ones
	untracked uint64                // responses beyond maxOpenBodies
	reporter  lossReporter
}

// bodyKey is what bodies are counted by.
type bodyKey struct{ root, line string }

// bodyPair has the open bodies of one root span and line.
type bodyPair struct {
	bodyKey

	open map[*openBody]struct{}

	// As of the last addTo.
	oldest    time.Time
	lost      int
	lostHTTP1 int // the part of lost in responses of HTTP/1
}

// openBody is a body that counts as open. It does not refer to the body itself.
type openBody struct {
	all     *bodies
	pair    *bodyPair
	begin   time.Time
	http1   bool
	lost    bool
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
	if a.pairs == nil {
		a.pairs = map[bodyKey]*bodyPair{}
	}
	a.total++
	b.pair, b.begin = a.pair(bodyKey{root, line}), time.Now()
	b.pair.open[b] = struct{}{}
	return true
}

// pair returns the pair of a key. If there are too many, it removes those without open bodies. If there
// are still too many, it returns the pair "other". The caller holds a.mu.
func (a *bodies) pair(key bodyKey) *bodyPair {
	p := a.pairs[key]
	if p != nil {
		return p
	}
	if len(a.pairs) >= maxBodyPairs {
		maps.DeleteFunc(a.pairs, func(_ bodyKey, p *bodyPair) bool { return len(p.open) == 0 })
	}
	if len(a.pairs) >= maxBodyPairs {
		key = bodyKey{otherName, otherName}
		if p = a.pairs[key]; p != nil {
			return p
		}
	}
	p = &bodyPair{bodyKey: key, open: map[*openBody]struct{}{}}
	a.pairs[key] = p
	return p
}

// end removes the body, unless that has been done.
func (b *openBody) end() {
	b.all.mu.Lock()
	defer b.all.mu.Unlock()
	if _, open := b.pair.open[b]; open {
		delete(b.pair.open, b)
		b.all.total--
	}
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
	b.lost, b.stop = true, nil // stop keeps the context reachable
}

// count updates the numbers of the pair.
func (p *bodyPair) count() {
	p.oldest, p.lost, p.lostHTTP1 = time.Time{}, 0, 0
	for b := range p.open {
		if p.oldest.IsZero() || b.begin.Before(p.oldest) {
			p.oldest = b.begin
		}
		if b.lost {
			p.lost++
		}
		if b.lost && b.http1 {
			p.lostHTTP1++
		}
	}
}

// addTo adds the metrics of the bodies and their events to a draft. It takes time
// proportional to the number of open bodies, 0.2 ms for maxOpenBodies.
func (a *bodies) addTo(d *runtimeinfo.Draft, full func(root string) string) {
	now := d.Snapshot().Time
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pairs == nil { // Transport is not used
		return
	}
	pairs := slices.Collect(maps.Values(a.pairs))
	sort.Slice(pairs, func(i, j int) bool {
		return cmp.Or(cmp.Compare(pairs[i].root, pairs[j].root), cmp.Compare(pairs[i].line, pairs[j].line)) < 0
	})
	for _, p := range pairs {
		p.count()
		root := full(p.root)
		d.Add(openBodies, float64(len(p.open)), root, p.line)
		if len(p.open) > 0 {
			d.Add(oldestBody, max(0, now.Sub(p.oldest).Seconds()), root, p.line)
		}
		if p.lost > 0 {
			d.Add(lostBodies, float64(p.lost), root, p.line)
		}
	}
	d.Add(untrackedBodies, float64(a.untracked))
	d.Events = append(d.Events, a.reporter.report(pairs, now, full)...)
}
