package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/evidence"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// Recorder makes execution traces and reads them. [exectrace.Recorder] does. See
// [WithRecorder].
//
// [exectrace.Recorder]: https://pkg.go.dev/github.com/gmpulse/gmpulse/tracectx/exectrace#Recorder
type Recorder interface {
	goroutines.RollCaller
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

// newEvidence makes the store of bundles, nil if there is to be none.
func (a *Agent) newEvidence(s *settings) (*evidence.Store, error) {
	if s.evidence == nil {
		return nil, nil //nolint:nilnil // off
	}
	c := *s.evidence
	if c.Trace == nil && s.recorder != nil {
		c.Trace = s.recorder
	}
	if c.Goroutines == nil {
		c.Goroutines = a.detective.Report
	}
	if c.Record == nil {
		c.Record = exporters.Record
	}
	if c.Logger == nil {
		c.Logger = s.logger
	}
	store, err := evidence.New(c)
	if err != nil {
		return nil, fmt.Errorf("agent: GMPULSE_CAPTURE_DIR or WithEvidence: %w", err)
	}
	return store, nil
}

// errNoEvidence is the error of Capture where no evidence is kept.
var errNoEvidence = errors.New("agent: no evidence is kept; set GMPULSE_CAPTURE_DIR or give WithEvidence")

// Capture makes a bundle of evidence now, with a CPU profile, and returns the name of its
// directory, see [Agent.Evidence]. It takes about five seconds.
func (a *Agent) Capture(ctx context.Context, reason string) (id string, err error) {
	if a.evidence == nil {
		return "", errNoEvidence
	}
	return a.evidence.Capture(ctx, reason)
}

// Evidence returns the bundles, a directory for each; nil where none are kept.
func (a *Agent) Evidence() fs.FS {
	if a.evidence == nil {
		return nil
	}
	return a.evidence
}

// recording is the recorder at work.
type recording struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// record runs the recorder, if there is one that can be, and takes its reports.
func (a *Agent) record(r Recorder) {
	if n, ok := r.(notifier); ok {
		n.NotifySlow(func(e runtimeinfo.Event, recorded []byte) {
			a.spans.events.add(e)
			if a.evidence != nil {
				a.evidence.Trigger(slowTrigger(e, recorded))
			}
		})
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
		w.Run(ctx)
	}()
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

// slowTrigger makes evidence of a slow span.
func slowTrigger(e runtimeinfo.Event, recorded []byte) evidence.Trigger {
	t := evidence.Trigger{Cause: e.Name, Reason: e.Message, Minor: true, CPU: true, Event: &e, Trace: recorded}
	for _, attr := range e.Attrs {
		switch attr.Key {
		case "span.name":
			t.Cause += " " + attr.Value.String()
		case "span.duration":
			t.Size = attr.Value.Float64()
		}
	}
	return t
}

// events are what happened since the last tick; the oldest give way.
type events struct {
	mu   sync.Mutex
	list []runtimeinfo.Event
}

func (q *events) add(e runtimeinfo.Event) {
	const most = 16 // slow spans come 30 s apart
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == most {
		q.list = append(q.list[:0], q.list[1:]...)
	}
	q.list = append(q.list, e)
}

func (q *events) take() []runtimeinfo.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list = nil
	return list
}
