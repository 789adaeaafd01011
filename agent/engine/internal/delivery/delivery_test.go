// SPDX-License-Identifier: Apache-2.0

package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/agent/engine/internal/delivery"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const timeout = 5 * time.Second

// fake is an exporter that calls export and stores the snapshots it receives.
type fake struct {
	export func(ctx context.Context, s *runtimeinfo.Snapshot) error

	mu       sync.Mutex
	got      []*runtimeinfo.Snapshot
	shutdown int
}

func (e *fake) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	if e.export != nil {
		if err := e.export(ctx, s); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got = append(e.got, s)
	return nil
}

func (e *fake) Shutdown(context.Context) error {
	e.shutdown++
	return nil
}

// events returns the messages of all events received, in order.
func (e *fake) events() string {
	var all []string
	for _, s := range e.got {
		for _, v := range s.Events {
			all = append(all, v.Message)
		}
	}
	return strings.Join(all, " ")
}

func snapshot(events ...string) *runtimeinfo.Snapshot {
	s := runtimeinfo.NewSnapshot()
	for _, e := range events {
		s.Events = append(s.Events, runtimeinfo.Event{Message: e})
	}
	return s
}

// start runs a delivery; stop calls Stop with a timeout of one second.
func start(t *testing.T, e *fake) (d *delivery.Delivery, stop func() error, log *bytes.Buffer) {
	t.Helper()
	log = new(bytes.Buffer)
	d = delivery.New("test", e, nil, delivery.Pace{}, timeout, slog.New(slog.NewTextHandler(log, nil)))
	d.Start(t.Context())
	return d, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := d.Stop(ctx, nil)
		balanced(t, d)
		return err
	}, log
}

// balanced asserts that accepted = delivered + dropped + pending.
func balanced(t *testing.T, d *delivery.Delivery) {
	t.Helper()
	s := d.Stats()
	for name, a := range map[string]exporters.Account{"snapshots": s.Snapshots, "events": s.Events} {
		if a.Accepted != a.Delivered+a.Lost()+a.Pending {
			t.Errorf("%s do not balance: %+v", name, a)
		}
	}
}

func TestDeliversInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fake{}
		d, stop, log := start(t, e)
		for i := range 10 {
			d.Post(snapshot(strconv.Itoa(i)))
			synctest.Wait()
		}
		d.Post(snapshot("last")) // delivered by Stop
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got := e.events(); got != "0 1 2 3 4 5 6 7 8 9 last" {
			t.Errorf("events %q", got)
		}
		if s := d.Stats(); s.Snapshots.Delivered != 11 || s.State != exporters.StateStopped || e.shutdown != 1 {
			t.Errorf("stats %+v, %d shutdowns", s, e.shutdown)
		}
		if log.Len() > 0 {
			t.Errorf("log of an exporter that does not fail: %s", log)
		}
		d.Post(snapshot("too late"))
		if s := d.Stats(); s.Snapshots.Accepted != 11 {
			t.Error("a snapshot was accepted after Stop")
		}
	})
}

// While the exporter is busy, a new snapshot replaces the pending one and its events are kept.
func TestEventsOfReplacedSnapshotsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e := &fake{export: func(context.Context, *runtimeinfo.Snapshot) error {
			<-release
			return nil
		}}
		d, stop, _ := start(t, e)
		for i := range 4 {
			d.Post(snapshot(strconv.Itoa(i)))
			synctest.Wait()
			balanced(t, d)
		}
		if s := d.Stats(); s.Snapshots.Pending != 2 || s.Snapshots.Dropped(exporters.DropReplaced) != 2 || s.Events.Pending != 4 {
			t.Errorf("while busy: %+v", s)
		}
		close(release)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if len(e.got) != 2 || e.events() != "0 1 2 3" {
			t.Errorf("%d snapshots with events %q", len(e.got), e.events())
		}
		if s := d.Stats(); s.Events.Delivered != 4 || s.Events.Lost() != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A failed call drops its snapshot and keeps its events in order. The log has one line when the
// exporter begins to fail and one when it works again.
func TestEventsOfFailedCallsAreDeliveredLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := true
		e := &fake{export: func(context.Context, *runtimeinfo.Snapshot) error {
			if fail {
				return errors.New("no route to host")
			}
			return nil
		}}
		d, stop, log := start(t, e)
		for i := range 3 {
			d.Post(snapshot(strconv.Itoa(i)))
			synctest.Wait()
			balanced(t, d)
		}
		s := d.Stats()
		if s.State != exporters.StateFailing || s.Errors != 3 || s.LastError != "no route to host" || s.Snapshots.Dropped(exporters.DropFailed) != 3 || s.Events.Pending != 3 {
			t.Errorf("while failing: %+v", s)
		}
		fail = false
		d.Post(snapshot("3"))
		synctest.Wait()
		if got := e.events(); got != "0 1 2 3" {
			t.Errorf("events %q", got)
		}
		if s := d.Stats(); s.State != exporters.StateOK || s.Events.Delivered != 4 {
			t.Errorf("afterwards: %+v", s)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if fails, works := strings.Count(log.String(), "exporter fails"), strings.Count(log.String(), "works again"); fails != 1 || works != 1 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// Events that the exporter rejects are counted and not delivered again.
func TestRejectedEventsAreNotDeliveredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fake{export: func(_ context.Context, s *runtimeinfo.Snapshot) error {
			if len(s.Events) == 0 {
				return nil
			}
			return &exporters.RejectedError{Events: 1, Err: errors.New("too large")}
		}}
		d, stop, log := start(t, e)
		d.Post(snapshot("a", "b", "c"))
		synctest.Wait()
		s := d.Stats()
		if s.Events.Delivered != 2 || s.Events.Dropped(exporters.DropRejected) != 1 || s.Events.Pending != 0 || s.Snapshots.Delivered != 1 || s.State != exporters.StateFailing || s.LastError != "too large" {
			t.Errorf("stats %+v", s)
		}
		d.Post(snapshot())
		if err := stop(); err != nil {
			t.Error(err)
		}
		if len(e.got) != 1 || e.events() != "" {
			t.Errorf("%d snapshots with events %q", len(e.got), e.events())
		}
		if n := strings.Count(log.String(), "too large"); n != 1 {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestEventsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fake{export: func(context.Context, *runtimeinfo.Snapshot) error { return errors.New("down") }}
		d, stop, _ := start(t, e)
		const n = delivery.MaxEvents + 100
		for i := range n {
			d.Post(snapshot(strconv.Itoa(i)))
			synctest.Wait()
		}
		if s := d.Stats(); s.Events.Pending != delivery.MaxEvents || s.Events.Dropped(exporters.DropOverflow) != 100 {
			t.Errorf("stats %+v", s.Events)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if s := d.Stats(); s.Events.Dropped(exporters.DropShutdown) != delivery.MaxEvents || s.Events.Pending != 0 {
			t.Errorf("after Stop: %+v", s.Events)
		}
	})
}

func TestPanicsAreRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fake{export: func(context.Context, *runtimeinfo.Snapshot) error { panic("oh") }}
		d, stop, log := start(t, e)
		for range 3 {
			d.Post(snapshot())
			synctest.Wait()
		}
		if s := d.Stats(); s.Panics != 3 || s.LastError != "panic: oh" || s.State != exporters.StateFailing {
			t.Errorf("stats %+v", s)
		}
		if n := strings.Count(log.String(), "panicked"); n != 1 || !strings.Contains(log.String(), "delivery_test.go") {
			t.Errorf("want one line with the stack, log:\n%s", log)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestCallHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fake{export: func(ctx context.Context, _ *runtimeinfo.Snapshot) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		d, stop, _ := start(t, e)
		d.Post(snapshot())
		begin := time.Now()
		time.Sleep(timeout)
		synctest.Wait()
		if s := d.Stats(); s.Timeouts != 1 || s.Errors != 0 || s.LastDuration != time.Since(begin) {
			t.Errorf("stats %+v", s)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A call that ignores its context is counted as one timeout while it hangs, and Stop returns by
// its deadline.
func TestExporterThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e := &fake{export: func(context.Context, *runtimeinfo.Snapshot) error {
			<-release
			return nil
		}}
		d, stop, _ := start(t, e)
		for range 10 {
			d.Post(snapshot("e"))
			time.Sleep(time.Second)
		}
		if s := d.Stats(); s.State != exporters.StateFailing || s.Timeouts != 1 {
			t.Errorf("while hanging: %+v", s)
		}
		begin := time.Now()
		err := stop()
		if took := time.Since(begin); err == nil || !strings.Contains(err.Error(), "exporter test is still busy") || took != time.Second {
			t.Errorf("Stop took %v: %v", took, err)
		}
		s := d.Stats()
		if s.Snapshots.Dropped(exporters.DropShutdown) != 2 || s.Events.Dropped(exporters.DropShutdown) != 10 {
			t.Errorf("after Stop: %+v", s)
		}
		close(release)
		synctest.Wait()
		if after := d.Stats(); after.Snapshots != s.Snapshots || after.Events != s.Events {
			t.Errorf("the result of a call was counted after Stop: %+v", after)
		}
	})
}

// The timeout of a call is logged before the call returns. Post returns even if the log handler
// hangs with the exporter.
func TestTimeoutIsLoggedWhileTheCallHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var stuck atomic.Bool
		e := &fake{export: func(context.Context, *runtimeinfo.Snapshot) error {
			if stuck.Load() {
				<-release
			}
			return nil
		}}
		log := &blockedWriter{release: release}
		d := delivery.New("test", e, nil, delivery.Pace{}, timeout, slog.New(slog.NewTextHandler(log, nil)))
		d.Start(t.Context())
		stuck.Store(true)
		for range 10 {
			d.Post(snapshot()) // returns
			time.Sleep(time.Second)
		}
		if n := log.begun.Load(); n != 1 {
			t.Errorf("%d lines while it hangs, want 1", n)
		}
		stuck.Store(false)
		close(release)
		time.Sleep(time.Second)
		if got := log.String(); strings.Count(got, "exporter fails") != 1 || strings.Count(got, "works again") != 1 {
			t.Errorf("log:\n%s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Stop(ctx, nil); err != nil {
			t.Error(err)
		}
		balanced(t, d)
	})
}

// blockedWriter is a writer that blocks until release is closed.
type blockedWriter struct {
	release chan struct{}
	begun   atomic.Int64

	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *blockedWriter) Write(b []byte) (int, error) {
	l.begun.Add(1)
	<-l.release
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *blockedWriter) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Stop cancels the current call at its deadline.
func TestStopCancelsTheCurrentCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var ended time.Duration
		e := &fake{export: func(ctx context.Context, _ *runtimeinfo.Snapshot) error {
			<-ctx.Done()
			ended = time.Since(begin)
			return ctx.Err()
		}}
		d, stop, _ := start(t, e)
		d.Post(snapshot())
		synctest.Wait()
		if err := stop(); err == nil {
			t.Error("Stop returned nil although the exporter is busy")
		}
		synctest.Wait()
		if ended != time.Second {
			t.Errorf("the call ended after %v, want 1s, the deadline of Stop", ended)
		}
	})
}
