// SPDX-License-Identifier: Apache-2.0

package profiles

import (
	"context"
	"time"

	"github.com/google/pprof/profile"
)

// Wait waits for d. It returns early, without an error, when closing is closed, because a shorter profile
// is better than none. If ctx is done, it returns the cause.
func Wait(ctx context.Context, closing <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-closing:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Delta calls take before and after wait, and returns what the second of these encoded profiles has and the
// first does not have.
func Delta(take func() ([]byte, error), wait func() error) (*profile.Profile, error) {
	decoded := func() (*profile.Profile, error) {
		data, err := take()
		if err != nil {
			return nil, err
		}
		return Decode(data)
	}
	before, err := decoded()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := wait(); err != nil {
		return nil, err
	}
	after, err := decoded()
	if err != nil {
		return nil, err
	}
	before.Scale(-1)
	delta, err := profile.Merge([]*profile.Profile{before, after})
	if err != nil {
		return nil, err
	}
	delta.TimeNanos, delta.DurationNanos = start.UnixNano(), time.Since(start).Nanoseconds()
	return delta, nil
}
