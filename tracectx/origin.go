// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"cmp"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Origin returns what is known about the local root spans that began under one name
// in one epoch. root and epoch are the values of the labels [RootLabel] and
// [EpochLabel] of a goroutine. ok is false for values that this Processor did not
// create, and for names that were replaced by more frequent ones long ago.
func (p *Processor) Origin(root, epoch string) (o runtimeinfo.Origin, ok bool) {
	begin, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || begin < 0 {
		return o, false
	}
	_, end := epochOf(begin)
	o.From = p.clock.start.Add(time.Duration(begin) * time.Second)
	o.To = p.clock.start.Add(time.Duration(end) * time.Second)
	ended := map[string]uint64{}
	for _, l := range p.names.withLabel(root) {
		l.addTo(&o, begin, ended)
	}
	for name, n := range ended {
		o.Ended = append(o.Ended, runtimeinfo.NameCount{Name: name, Count: n})
	}
	sort.Slice(o.Ended, func(i, j int) bool {
		x, y := o.Ended[i], o.Ended[j]
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Name, y.Name)) < 0
	})
	o.Ended = o.Ended[:min(len(o.Ended), maxEndedNames)]
	return o, len(o.Names) > 0
}

// fullName returns the name that a value of RootLabel was cut from, or the value if several names
// have it or none.
func (p *Processor) fullName(value string) string {
	if len(value) <= maxLabelBytes-utf8.UTFMax {
		return value
	}
	if found := p.names.withLabel(value); len(found) == 1 {
		return found[0].text
	}
	return value
}
