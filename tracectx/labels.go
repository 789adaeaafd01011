// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Profiler labels that a goroutine inherits from the local root span under which it
// was created. Keys and values fit the limits of the OpenTelemetry eBPF profiler (16
// and 48 bytes). Values contain no ids and no user data except the span name, because
// since Go 1.27 labels appear in crash logs.
const (
	// RootLabel is the key of the name of the local root span, cut to 47 bytes.
	RootLabel = "gmpulse_root"
	// EpochLabel is the key of the epoch in which the span began, as the epoch's first
	// second since the [Processor] was created. Epochs are 10 seconds long for the
	// first ten minutes, then one minute until two hours, then ten minutes. The start
	// time that a span reports does not affect its epoch.
	EpochLabel = "gmpulse_epoch"

	maxLabelBytes = 47
)

const (
	// maxEpochs bounds the epochs that are kept for each name.
	maxEpochs = 128
	// maxEndedNames bounds the final names that are counted separately for the spans
	// of one name and epoch.
	maxEndedNames = 32
)

// epochOf returns the bounds of the epoch that contains a second: its first second, and
// the first second of the next epoch. Epochs get longer so that a leak of a week has about a thousand
// label values.
func epochOf(second int64) (begin, end int64) {
	length := int64(600)
	switch {
	case second < 600:
		length = 10
	case second < 7200:
		length = 60
	}
	begin = second / length * length
	return begin, begin + length
}

// epochLabels are the profiler labels of one root name in one epoch. All goroutines
// that begin such a span share them.
type epochLabels struct {
	set        pprof.LabelSet
	ctx        context.Context //nolint:containedctx // the form in which runtime/pprof takes labels
	block      *labelBlock     // nil without a labelReader
	value      string          // of RootLabel
	begin, end int64
}

// labels is the part of the state of a root name that goroutine labels refer to. It is
// kept for some time after the name was removed from names.
type labels struct {
	text    string // the name
	value   string // of RootLabel
	current atomic.Pointer[epochLabels]

	mu     sync.Mutex
	epochs []*epoch // in order, at most maxEpochs
}

// An epoch is what is known about the spans of one name that began in an epoch.
type epoch struct {
	begin   int64
	example runtimeinfo.Span  // the first span
	ended   map[string]uint64 // by final name; nil while no span was renamed
}

// at returns the labels of the epoch that contains a second, and reports whether this
// call created them.
func (l *labels) at(second int64, reader *labelReader) (e *epochLabels, isNew bool) {
	e = l.current.Load()
	if e != nil && second < e.end {
		return e, false
	}
	begin, end := epochOf(second)
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

// begin adds an epoch with its first span.
func (l *labels) begin(begin int64, s runtimeinfo.Span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.find(begin) != nil { // the name was removed and added again
		return
	}
	if len(l.epochs) == maxEpochs {
		l.epochs = slices.Delete(l.epochs, 0, 1)
	}
	l.epochs = append(l.epochs, &epoch{begin: begin, example: s})
}

// identify sets the ids of the example of an epoch, if the example is the work of a
// [Processor.Do] and has none.
func (l *labels) identify(begin int64, s runtimeinfo.Span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x := l.find(begin); x != nil && x.example.TraceID == [16]byte{} {
		s.Name = x.example.Name
		x.example = s
	}
}

// count counts n spans that began in an epoch and ended under a name.
func (l *labels) count(begin uint32, name string, n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.find(int64(begin))
	if x == nil {
		return
	}
	if x.ended == nil {
		x.ended = map[string]uint64{}
	}
	if _, known := x.ended[name]; !known && len(x.ended) >= maxEndedNames-1 {
		name = otherName
	}
	x.ended[name] += n
}

// addTo adds what is known about an epoch to an Origin, and the final names to ended.
func (l *labels) addTo(o *runtimeinfo.Origin, begin int64, ended map[string]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o.Names = append(o.Names, l.text)
	x := l.find(begin)
	if x == nil {
		return
	}
	o.Examples = append(o.Examples, x.example)
	for name, n := range x.ended {
		ended[name] += n
	}
}

// find returns an epoch, or nil. The caller holds l.mu.
func (l *labels) find(begin int64) *epoch {
	for _, x := range slices.Backward(l.epochs) {
		if x.begin == begin {
			return x
		}
	}
	return nil
}

// LabelValue returns the value of [RootLabel] for a span name: at most the first 47 bytes, cut between two
// characters.
func LabelValue(name string) string {
	if len(name) <= maxLabelBytes {
		return name
	}
	n := maxLabelBytes
	for n > 0 && !utf8.RuneStart(name[n]) {
		n--
	}
	return name[:n]
}
