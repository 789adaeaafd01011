package page

import (
	"context"
	"encoding/hex"
)

// gate lets a few requests at a time do what costs CPU or memory: viewers must
// not become load.
type gate chan struct{}

func newGate(n int) gate { return make(gate, n) } // as many as may be inside

// enter waits for a place; it is false when ctx was done first.
func (g gate) enter(ctx context.Context) bool {
	select {
	case g <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (g gate) leave() { <-g }

func hexOf(b []byte) string { return hex.EncodeToString(b) }
