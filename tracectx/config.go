// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

const (
	defaultCapacity = 4096
	defaultMaxNames = 100
	defaultTTL      = 10 * time.Minute

	maxCapacity = 1 << 20 // takes 90 MB
	maxMaxNames = 10_000  // takes 50 MB
)

// Config bounds the memory of a [Processor]. The zero value selects the defaults.
type Config struct {
	// Capacity is the number of local root spans that can be active at once. The
	// table has a fixed size of about 100 bytes per span of capacity (130 with a
	// History), at least 65 KB. It has some spare room: below Capacity
	// practically no span is rejected. Rejected spans count as Untracked. Maximum
	// 1,048,576; 0 means 4096.
	Capacity int

	// MaxNames is the number of root span names that are counted separately. If
	// there are more, the most frequent names are counted separately and the others
	// under "other": a name that occurs three times within about 30 seconds
	// replaces one that occurs less often. Names longer than 256 bytes, and names
	// that are not valid UTF-8, always count under "other". Each name takes about
	// 5 KB. Maximum 10,000; 0 means 100.
	MaxNames int

	// TTL is how long a span may be active, counted from the first
	// [Processor.Observe] that sees it. A span that exceeds TTL counts as never
	// ended and is forgotten. Increase TTL if roots are long-lived by design, such
	// as streams and websockets. 0 means 10 minutes.
	TTL time.Duration

	// NoLabels turns profiler labels off. By default a goroutine that begins a
	// local root span gets the labels [RootLabel] and [EpochLabel], which the
	// goroutines that it starts inherit.
	NoLabels bool

	// History supplies runtime values for events on long spans: a sampled local
	// root that takes longer than 5 s gets events "gmpulse.runtime.sample" with the
	// number of goroutines, the heap size, the GC cycles and the active roots.
	// The events come at 5 s, 7.5 s, 11 s and so on until 7 minutes, at most 12 per
	// span. The Processor then keeps references to active roots until they end or
	// exceed TTL, and start and end take 10 ns longer. nil means no events.
	History *History
}

// withDefaults replaces zero fields by their defaults. The error names every invalid
// field.
func (c Config) withDefaults() (Config, error) {
	err := errors.Join(
		checkCount("Capacity", c.Capacity, maxCapacity),
		checkCount("MaxNames", c.MaxNames, maxMaxNames),
		checkTTL(c.TTL),
	)
	c.Capacity = cmp.Or(c.Capacity, defaultCapacity)
	c.MaxNames = cmp.Or(c.MaxNames, defaultMaxNames)
	c.TTL = cmp.Or(c.TTL, defaultTTL)
	return c, err
}

func checkCount(field string, n, most int) error {
	if n < 0 || n > most {
		return fmt.Errorf("tracectx: Config.%s is %d, want 1 to %d or 0 for the default", field, n, most)
	}
	return nil
}

func checkTTL(ttl time.Duration) error {
	if ttl < 0 {
		return fmt.Errorf("tracectx: Config.TTL is %v, want a positive duration or 0 for the default", ttl)
	}
	return nil
}
