// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/evidence"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// Recorder makes execution traces and reads them. [exectrace.Recorder] is one. See
// [WithRecorder].
//
// [exectrace.Recorder]: https://pkg.go.dev/github.com/gmpulse/gmpulse/tracectx/exectrace#Recorder
type Recorder interface {
	goroutines.Recorder
	evidence.TraceSource
}

// What a recorder may be able to do beyond that.
type (
	// runner records of its own accord until ctx is done.
	runner interface{ Run(ctx context.Context) }
	// notifier tells of slow spans that it has looked into.
	notifier interface {
		NotifySlow(f func(e runtimeinfo.Event, recorded []byte))
	}
	// exacter adds up what its recordings tell of spans. It must not block.
	exacter interface {
		Exact() *runtimeinfo.ExactSpans
	}
)

// recording is the recorder at work.
type recording struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// record runs the recorder, if there is one that can be, and takes its reports.
func (a *Agent) record(r Recorder) {
	if n, ok := r.(notifier); ok {
		a.notify(n)
	}
	if x, ok := r.(exacter); ok {
		a.spans.exact = x
	}
	w, ok := r.(runner)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.recording = &recording{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(a.recording.done)
		a.told(guard.Do(func() error {
			w.Run(ctx)
			return nil
		}))
	}()
}

// notify has the recorder tell of slow spans. The recorder is foreign code: it gets no
// more than 100 ms of Start.
func (a *Agent) notify(n notifier) {
	var q guard.Poller[struct{}]
	_, err := q.Poll(100*time.Millisecond, func() (none struct{}) {
		n.NotifySlow(func(e runtimeinfo.Event, recorded []byte) {
			a.spans.events.add(e)
			if a.evidence != nil {
				a.evidence.Trigger(slowTrigger(e, recorded))
			}
		})
		return none
	})
	a.told(err)
}

// told logs why the recorder is of no more use, nil for nothing.
func (a *Agent) told(err error) {
	if p := guard.Panicked(err); p != nil {
		a.logger.Error("gmpulse: the recorder panicked and records no more", slog.Any("error", err), slog.String("stack", string(p.Stack)))
	} else if err != nil {
		a.logger.Warn("gmpulse: the recorder does not take the request to tell of slow spans", slog.Any("error", err))
	}
}

// stop ends the recorder's run and waits for it.
func (r *recording) stop(ctx context.Context) error {
	if r == nil {
		return nil
	}
	r.cancel()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("agent: stop: the recorder is still busy: %w", context.Cause(ctx))
	}
}

// events are what the recorder told of since the last tick. The oldest give way,
// and how many did is an event too.
type events struct {
	mu      sync.Mutex
	list    []runtimeinfo.Event
	dropped int
}

func (q *events) add(e runtimeinfo.Event) {
	const most = 16 // slow spans come 30 s apart
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == most {
		q.list = append(q.list[:0], q.list[1:]...)
		q.dropped++
	}
	q.list = append(q.list, e)
}

// take empties the queue at a tick.
func (q *events) take(now time.Time) []runtimeinfo.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	if q.dropped > 0 {
		list = append(list, runtimeinfo.Event{
			Time: now, Name: "recorder.events_dropped", Severity: slog.LevelWarn,
			Message: "the recorder told of more in one tick than is kept",
			Attrs:   []slog.Attr{slog.Int("dropped", q.dropped)},
		})
	}
	q.list, q.dropped = nil, 0
	return list
}
