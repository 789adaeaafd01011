package page

import "context"

// gate lets a few requests at a time do what costs CPU or memory: viewers must
// not become load. What they make is sent outside: a client that takes nothing
// would keep the others waiting.
type gate chan struct{}

func newGate(n int) gate { return make(gate, n) } // as many as may be inside

// run does some work when there is a place; it is false when ctx was done first.
func (g gate) run(ctx context.Context, work func()) bool {
	select {
	case g <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-g }()
	work()
	return true
}
