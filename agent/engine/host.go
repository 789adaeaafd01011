// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/internal/host"
)

// hostLoop reads process, container and host at an interval. It uses its own goroutine, because
// a pass can take longer than a tick and can hang.
type hostLoop struct {
	reader   *host.Reader
	interval time.Duration
	last     atomic.Pointer[hostPass]
}

// hostPass is the result of one host pass.
type hostPass struct {
	sample   *host.Sample
	at       time.Time
	duration time.Duration
}

func (h *hostLoop) run(ctx context.Context) {
	pprof.Do(ctx, pprof.Labels(ProfilerLabel, "host"), func(ctx context.Context) {
		ticker := time.NewTicker(h.interval)
		defer ticker.Stop()
		for {
			start := time.Now()
			sample := h.reader.Read(ctx)
			h.last.Store(&hostPass{sample: sample, at: start, duration: time.Since(start)})
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
}
