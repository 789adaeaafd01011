// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// attributePrefix is the prefix of the keys of span attributes.
const attributePrefix = "gmpulse.span.exec."

// attributes returns a breakdown as span attributes. Durations are in seconds. length
// is the duration that the span reports; the attribute coverage is the part of it that
// the breakdown covers, at most 1.
func attributes(b *Breakdown, length time.Duration) []attribute.KeyValue {
	var attrs []attribute.KeyValue
	add := func(key string, v float64) { attrs = append(attrs, attribute.Float64(attributePrefix+key, v)) }
	addNonzero := func(key string, d time.Duration) {
		if d > 0 {
			add(key, d.Seconds())
		}
	}
	coverage := 1.0
	if length > b.Duration {
		coverage = b.Duration.Seconds() / length.Seconds()
	}
	add("coverage", coverage)
	add("running", b.Self.Of(Running).Seconds())
	add("runnable", b.Self.Of(Runnable).Seconds())
	add("syscall", b.Self.Of(Syscall).Seconds())
	add("blocked", b.Self.Blocked().Seconds())
	for c, d := range b.Self.All() {
		if c.Blocked() {
			addNonzero("blocked."+c.String(), d)
		}
	}
	if b.Goroutines > 0 {
		attrs = append(attrs, attribute.Int(attributePrefix+"others.goroutines", b.Goroutines))
	}
	addNonzero("others.running", b.Others.Of(Running))
	addNonzero("others.runnable", b.Others.Of(Runnable))
	addNonzero("others.syscall", b.Others.Of(Syscall))
	addNonzero("others.blocked", b.Others.Blocked())
	addNonzero("stw", b.STW)
	addNonzero("gc_mark", b.Mark)
	addNonzero("gc_mark_assist", b.MarkAssist)
	if len(b.Wakers) > 0 {
		attrs = append(attrs, attribute.String(attributePrefix+"waker", b.Wakers[0].String()))
	}
	return attrs
}
