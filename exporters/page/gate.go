// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"time"
)

// gate lets a few requests at a time do what costs CPU or memory: viewers must
// not become load. What they make is sent outside: a client that takes nothing
// would keep the others waiting.
type gate chan struct{}

// gateTimeout is how long a request waits for a place.
const gateTimeout = 10 * time.Second

func newGate(n int) gate { return make(gate, n) } // as many as may be inside

// run does some work when there is a place; it is false when ctx was done first, or
// the wait took too long.
func (g gate) run(ctx context.Context, work func()) bool {
	timeout := time.NewTimer(gateTimeout)
	defer timeout.Stop()
	select {
	case g <- struct{}{}:
	case <-ctx.Done():
		return false
	case <-timeout.C:
		return false
	}
	defer func() { <-g }()
	work()
	return true
}
