package tracectx

import (
	"context"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unsafe"

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
	// EpochLabel has the time at which the span began, coarsely: the second,
	// counted from the making of the [Processor], at which its epoch began.
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
	ctx        context.Context //nolint:containedctx // the form in which runtime/pprof takes labels
	set        pprof.LabelSet  // the same
	begin, end int64           // seconds since the start
}

// labels sets the labels of one root name.
type labels struct {
	value   string // of RootLabel
	current atomic.Pointer[epochLabels]

	mu       sync.Mutex
	examples []example // oldest first, at most maxExamples
}

// example is the first span of an epoch.
type example struct {
	begin int64
	span  runtimeinfo.Span
}

// maxExamples bounds the epochs whose first span is remembered, per name.
const maxExamples = 128

// at returns the labels of the epoch that holds the given second, and whether
// they were made just now.
func (l *labels) at(since int64) (e *epochLabels, isNew bool) {
	e = l.current.Load()
	if e != nil && since < e.end {
		return e, false // also for a start of the user's choosing in the past: never back
	}
	begin, end := epochOf(max(since, 0))
	next := &epochLabels{
		set:   pprof.Labels(RootLabel, l.value, EpochLabel, strconv.FormatInt(begin, 10)),
		begin: begin, end: end,
	}
	next.ctx = pprof.WithLabels(context.Background(), next.set)
	if l.current.CompareAndSwap(e, next) {
		return next, true
	}
	return l.current.Load(), false
}

// remember keeps the first span of an epoch as its example.
func (l *labels) remember(begin int64, s runtimeinfo.Span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.examples) == maxExamples {
		l.examples = append(l.examples[:0], l.examples[1:]...)
	}
	l.examples = append(l.examples, example{begin, s})
}

// find returns the example of an epoch.
func (l *labels) find(begin int64) (s runtimeinfo.Span, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.examples {
		if x.begin == begin {
			return x.span, true
		}
	}
	return s, false
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

// labeller sets labels on goroutines that begin local roots and takes them off
// those goroutines again.
type labeller struct {
	off   bool
	start time.Time
	seen  atomic.Int64 // seconds from start to the last observation

	mu     sync.Mutex
	merged map[uint64]context.Context // what to restore, for roots that began under labels of the application's
}

// maxAhead is how many seconds a span may begin after the last observation, which
// is a tick ago.
const maxAhead = 60

// maxMerged bounds the contexts kept for restoring. Beyond it goroutines keep
// their labels until they begin another root.
const maxMerged = 8192

// set labels the calling goroutine, which begins the root s. Labels of the
// application that ctx carries stay: ours are merged with them.
func (l *labeller) set(ctx context.Context, key uint64, name *rootName, s *slot) {
	e := l.epoch(key, name, s)
	if !s.flags.has(merged) {
		pprof.SetGoroutineLabels(e.ctx) //nolint:contextcheck // a context of labels only
		return
	}
	pprof.SetGoroutineLabels(pprof.WithLabels(ctx, e.set))
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.merged) < maxMerged {
		l.merged[key] = ctx //nolint:fatcontext // kept to restore its labels, bounded, and let go at the end of the span
	}
}

// epoch returns the labels of a root, and remembers the first one of its epoch.
func (l *labeller) epoch(key uint64, name *rootName, s *slot) *epochLabels {
	// A start in the future, of the user's choosing, must not open an epoch that
	// every later span would then belong to.
	since := min((s.start-l.start.UnixNano())/int64(time.Second), l.seen.Load()+maxAhead)
	e, isNew := name.labels.at(since)
	if isNew {
		name.labels.remember(e.begin, runtimeinfo.Span{TraceID: s.trace, SpanID: spanOf(key), Name: name.text, Start: time.Unix(0, s.start), Sampled: s.flags.has(sampled)})
	}
	return e
}

// unset restores the labels of before, if the goroutine that ends the root is
// the one that began it.
func (l *labeller) unset(key uint64, e *ending) {
	before := context.Background()
	if e.merged {
		if before = l.forget(key); before == nil {
			return
		}
	}
	if near(e.stack, here()) {
		pprof.SetGoroutineLabels(before)
	}
}

// forget returns what was kept for a root, once.
func (l *labeller) forget(key uint64) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx := l.merged[key]
	delete(l.merged, key)
	return ctx
}

// forgetAll lets go of all contexts: what began under them will not be seen to end.
func (l *labeller) forgetAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.merged)
}

// labelled tells whether a context carries labels.
func labelled(ctx context.Context) (has bool) {
	pprof.ForLabels(ctx, func(string, string) bool {
		has = true
		return false
	})
	return has
}

// here returns an address in the calling goroutine's stack frame. It is compared
// and never followed.
//
//go:noinline
func here() uintptr {
	var mark byte
	return uintptr(unsafe.Pointer(&mark))
}

// near tells whether two such addresses are of one goroutine. A goroutine has no
// identity that a library may read, but it has a stack of its own: Start and End
// are called from about the same depth, so their frames are close together, while
// those of another goroutine are at least the rest of a stack away. The error is
// on the safe side: a stack that has moved in between (it grew) looks like
// another goroutine, and then the labels stay until the next root begins there.
func near(a, b uintptr) bool {
	const frame = 2048 // the smallest stack, and more than Start and End differ by
	return a-b < frame || b-a < frame
}

// Origin tells of the local root spans of one name that began in one epoch, by
// the values of their labels ([RootLabel], [EpochLabel]). ok is false for values
// that this Processor did not make. It may be called from any goroutine.
func (p *Processor) Origin(root, epoch string) (o runtimeinfo.Origin, ok bool) {
	begin, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || begin < 0 {
		return o, false
	}
	_, end := epochOf(begin)
	o.From = p.labeller.start.Add(time.Duration(begin) * time.Second)
	o.To = p.labeller.start.Add(time.Duration(end) * time.Second)
	for _, n := range p.names.all() {
		if n.labels.value != root {
			continue
		}
		o.Names = append(o.Names, n.text)
		if s, found := n.labels.find(begin); found {
			o.Examples = append(o.Examples, s)
		}
		ok = true
	}
	return o, ok
}
