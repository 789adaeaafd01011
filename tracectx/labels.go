// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"cmp"
	"context"
	"runtime/pprof"
	"slices"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// The profiler labels that goroutines inherit from the local root span they are
// created under. Keys and values are short enough for profilers that read them
// from outside the process (the OpenTelemetry eBPF profiler: 16 and 48 bytes).
// Values hold no ids and nothing of the user's data but the span's name: from
// Go 1.27 on labels appear in crash logs.
const (
	// RootLabel has the name of the local root span.
	RootLabel = "gmpulse_root"
	// EpochLabel has the time at which the span was seen to begin, coarsely: the
	// second, counted from the making of the [Processor], at which its epoch began.
	// The start time that the span claims does not matter: a message's may lie an hour
	// back.
	EpochLabel = "gmpulse_epoch"

	maxLabelBytes = 47
)

// epochOf returns the epoch that a moment belongs to, as begin and end in
// seconds since the start: the younger the process the finer. Ten seconds in the
// first ten minutes, a minute in the first two hours, ten minutes from then on: a
// leak of a week spreads over a thousand label values, not over sixty thousand.
func epochOf(since int64) (begin, end int64) {
	length := int64(600)
	switch {
	case since < 600:
		length = 10
	case since < 7200:
		length = 60
	}
	begin = since / length * length
	return begin, begin + length
}

// epochLabels are the labels of one root name in one epoch, made once and set
// on every goroutine that begins such a span.
type epochLabels struct {
	set        pprof.LabelSet  // the labels
	ctx        context.Context //nolint:containedctx // the same, in the form in which runtime/pprof takes labels
	block      *labelBlock     // the same, to be told apart; nil without a labelReader
	value      string          // of RootLabel
	begin, end int64           // seconds since the start
}

// labels are what the processor keeps of a root name for goroutines that carry it:
// longer than its place among the names.
type labels struct {
	text    string // the name
	value   string // of RootLabel
	current atomic.Pointer[epochLabels]

	mu     sync.Mutex
	epochs []*epoch // oldest first, at most maxEpochs
}

// maxEpochs bounds the epochs that are remembered, per name.
const maxEpochs = 128

// An epoch is what is remembered of the spans of one name that began in it.
type epoch struct {
	begin   int64
	example atomic.Pointer[runtimeinfo.Span] // the first
	ended   atomic.Pointer[endedNames]
}

// identify gives the example its ids, if it has none: it is no span then.
func (x *epoch) identify(s runtimeinfo.Span) {
	if had := x.example.Load(); had.TraceID == [16]byte{} {
		s.Name = had.Name
		x.example.CompareAndSwap(had, &s)
	}
}

// at returns the labels of the epoch that holds the given second, and whether
// they were made just now.
func (l *labels) at(since int64, reader *labelReader) (e *epochLabels, isNew bool) {
	e = l.current.Load()
	if e != nil && since < e.end {
		return e, false
	}
	begin, end := epochOf(since)
	next := &epochLabels{
		set:   pprof.Labels(RootLabel, l.value, EpochLabel, strconv.FormatInt(begin, 10)),
		value: l.value, begin: begin, end: end,
	}
	next.ctx = pprof.WithLabels(context.Background(), next.set)
	if reader != nil {
		next.block = reader.block(next.ctx)
	}
	if l.current.CompareAndSwap(e, next) {
		return next, true
	}
	return l.current.Load(), false
}

// remember keeps the first span of an epoch as its example.
func (l *labels) remember(begin int64, s runtimeinfo.Span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.find(begin) != nil { // of a name that had lost its place
		return
	}
	if len(l.epochs) == maxEpochs {
		l.epochs = append(l.epochs[:0], l.epochs[1:]...)
	}
	x := &epoch{begin: begin}
	x.example.Store(&s)
	l.epochs = append(l.epochs, x)
}

// epoch returns what is remembered of an epoch, or nil.
func (l *labels) epoch(begin int64) *epoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.find(begin)
}

// find returns what is remembered of an epoch, or nil. l.mu is held.
func (l *labels) find(begin int64) *epoch {
	for _, e := range slices.Backward(l.epochs) {
		if e.begin == begin {
			return e
		}
	}
	return nil
}

// count counts spans that began in an epoch and ended under a name.
func (l *labels) count(begin uint32, name *labels, n uint64) {
	x := l.epoch(int64(begin))
	if x == nil {
		return
	}
	ended := x.ended.Load()
	if ended == nil {
		x.ended.CompareAndSwap(nil, new(endedNames))
		ended = x.ended.Load()
	}
	ended.add(name, n)
}

// maxEndedNames bounds the names that are told apart of the spans of one name and
// epoch, by the name that they ended with.
const maxEndedNames = 32

// endedNames counts spans by the name that they ended with. It takes no lock.
type endedNames struct {
	counts [maxEndedNames]struct {
		name atomic.Pointer[labels]
		n    atomic.Uint64
	}
	rest atomic.Uint64 // of further names
}

func (e *endedNames) add(name *labels, n uint64) {
	for i := range e.counts {
		c := &e.counts[i]
		have := c.name.Load()
		if have == nil && c.name.CompareAndSwap(nil, name) {
			have = name
		}
		if have == nil {
			have = c.name.Load()
		}
		if have == name {
			c.n.Add(n)
			return
		}
	}
	e.rest.Add(n)
}

// sum adds the counts to those of other epochs and names.
func (e *endedNames) sum(to map[string]uint64) {
	for i := range e.counts {
		if name := e.counts[i].name.Load(); name != nil {
			to[name.text] += e.counts[i].n.Load()
		}
	}
	if rest := e.rest.Load(); rest > 0 {
		to[otherName] += rest
	}
}

// labelValue cuts a name to what fits, at a character.
func labelValue(name string) string {
	if len(name) <= maxLabelBytes {
		return name
	}
	n := maxLabelBytes
	for n > 0 && !utf8.RuneStart(name[n]) {
		n--
	}
	return name[:n]
}

// Origin tells of the local root spans of one name that began in one epoch, by
// the values of their labels ([RootLabel], [EpochLabel]). ok is false for values
// that this Processor did not make, and for names that lost their place to busier
// ones long ago. It may be called from any goroutine.
func (p *Processor) Origin(root, begun string) (o runtimeinfo.Origin, ok bool) {
	begin, err := strconv.ParseInt(begun, 10, 64)
	if err != nil || begin < 0 {
		return o, false
	}
	_, end := epochOf(begin)
	o.From = p.clock.start.Add(time.Duration(begin) * time.Second)
	o.To = p.clock.start.Add(time.Duration(end) * time.Second)
	ended := map[string]uint64{}
	for _, l := range p.names.withLabel(root) {
		o.Names = append(o.Names, l.text)
		x := l.epoch(begin)
		if x == nil {
			continue
		}
		o.Examples = append(o.Examples, *x.example.Load())
		if e := x.ended.Load(); e != nil {
			e.sum(ended)
		}
	}
	o.Ended = nameCounts(ended)
	return o, len(o.Names) > 0
}

// nameCounts returns counts as a list, the largest first.
func nameCounts(counts map[string]uint64) (list []runtimeinfo.NameCount) {
	for name, n := range counts {
		if n > 0 {
			list = append(list, runtimeinfo.NameCount{Name: name, Count: n})
		}
	}
	sort.Slice(list, func(i, j int) bool {
		return cmp.Or(cmp.Compare(list[j].Count, list[i].Count), cmp.Compare(list[i].Name, list[j].Name)) < 0
	})
	return list[:min(len(list), maxEndedNames)]
}
