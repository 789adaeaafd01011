// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"errors"
	"fmt"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	defaultCapacity = 4096
	defaultMaxNames = 100
	defaultTTL      = 10 * time.Minute

	// A table for 2^20 spans takes 90 MB, and 10,000 names are no use to
	// anybody's dashboard: above these a number is a slip of the pen.
	maxCapacity = 1 << 20
	maxMaxNames = 10_000
)

// Config says how much a [Processor] may remember. The zero value is ready to
// use: every field's zero means its default.
type Config struct {
	// Capacity is how many local root spans can be active at once, in spans.
	// The table has a fixed size, about 100 bytes per span of capacity (120 with a
	// History) and 65 KB at least, and room to spare: below Capacity practically
	// no span is turned away, somewhere above it spans are, and count as
	// Untracked. At most 1,048,576. Zero means 4096.
	Capacity int

	// MaxNames is how many distinct root-span names are told apart at once, in names.
	// When there are more, those that are used most keep their places: a name without
	// one is shown as "other" and gets the place of a name that is used less when it
	// has come three times within half a minute or so. Names longer than 256 bytes or
	// not valid UTF-8 are always "other". At most 10,000. Zero means 100.
	MaxNames int

	// TTL is how long a span may stay active, counted from the first
	// [Processor.Observe] that saw it, before it is given up as never ended.
	// Raise it where roots live long on purpose (streams, websockets): one
	// that is given up is forgotten, and its end is not seen any more. Zero
	// means 10 minutes.
	TTL time.Duration

	// NoLabels leaves the profiler labels of goroutines alone. Otherwise a
	// goroutine that begins a local root span gets two ([RootLabel],
	// [EpochLabel]), and so do the goroutines that it starts: they tell under
	// which span a goroutine was created, and when.
	NoLabels bool

	// History is what the agent's tick adds to. With it, local roots that are
	// sampled and take longer than 5 s get events "go.runtime.sample" that say
	// how the process was doing: at most 12 of them per span, at 5 s, 7.5 s, 11 s
	// and so on, a half later each time, up to 7 minutes. The processor then holds
	// on to active roots, until the TTL at the longest, and a span's start and
	// end cost 10 ns more. Nil means no events.
	History *runtimeinfo.History
}

// withDefaults returns c with its zeros filled in, or everything that is wrong
// with it.
func (c Config) withDefaults() (Config, error) {
	err := errors.Join(
		checkCount("Capacity", c.Capacity, maxCapacity),
		checkCount("MaxNames", c.MaxNames, maxMaxNames),
		checkTTL(c.TTL),
	)
	if c.Capacity == 0 {
		c.Capacity = defaultCapacity
	}
	if c.MaxNames == 0 {
		c.MaxNames = defaultMaxNames
	}
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	return c, err
}

func checkCount(field string, n, most int) error {
	if n < 0 || n > most {
		return fmt.Errorf("tracectx: Config.%s is %d: set it between 1 and %d, or to 0 for the default", field, n, most)
	}
	return nil
}

func checkTTL(ttl time.Duration) error {
	if ttl < 0 {
		return fmt.Errorf("tracectx: Config.TTL is %v: set a positive duration, or 0 for the default", ttl)
	}
	return nil
}
