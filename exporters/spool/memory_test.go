// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestConformance(t *testing.T) {
	for name, dir := range map[string]func(*testing.T) string{
		"memory": func(*testing.T) string { return "" },
		"disk":   func(t *testing.T) string { t.Helper(); return t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			exporttest.Run(t, func(t *testing.T) exporters.Exporter {
				t.Helper()
				return ended(t, &backend{}, dir(t))
			})
		})
	}
}

// ended returns a spool that is shut down before its directory is removed: the Shutdown of
// the conformance test does not wait for the disk if its context is done.
func ended(t *testing.T, next exporters.Exporter, dir string) exporters.Exporter {
	t.Helper()
	x, _ := newSpool(t, next, spool.Config{Dir: dir})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), longDeadline)
		defer cancel()
		_ = x.Shutdown(ctx) // the conformance test checks the error
	})
	return x
}

func TestNewReportsEveryInvalidField(t *testing.T) {
	_, err := spool.New(nil, spool.Config{Name: "a b", MaxBytes: 1, MaxMemory: -1, MaxAge: -1, Timeout: -time.Second})
	for _, want := range []string{`Name "a b"`, "MaxBytes 1: want at least 65536", "MaxMemory -1", "MaxAge -1ns", "Timeout -1s", "exporter is nil"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not contain %q", err, want)
		}
	}
}

// After an outage of an hour everything is delivered in order. Attempts become rare, and the
// log has two lines.
func TestOutageDelaysDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.does(down)
		x, log := newSpool(t, b, spool.Config{})
		var want []string
		for seq := range 600 {
			export(t, x, snapshot(seq, "e"))
			want = append(want, fmt.Sprintf("%d:e", seq))
			time.Sleep(6 * time.Second)
		}
		s := balanced(t, x)
		if s.Snapshots.Pending != 600 || s.State != exporters.StateFailing || s.LastError != errDown.Error() || s.Errors != uint64(b.called()) {
			t.Errorf("during the outage: %+v", s)
		}
		if age := s.Spool.OldestAge; age != time.Hour || s.Spool.Bytes == 0 || s.Spool.OnDisk {
			t.Errorf("during the outage: %+v", s.Spool)
		}
		// Rounds are 15 to 30 s apart; each has two attempts once the record is a suspect.
		if n := b.called(); n > 2*3600/15+20 || n < 2*3600/30 {
			t.Errorf("%d attempts within an hour", n)
		}
		b.does(nil)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := b.seqs(); got != strings.Join(want, " ") {
			t.Errorf("delivered %s", got)
		}
		s = stop(t, x, time.Second)
		if s.Snapshots.Delivered != 600 || s.Events.Delivered != 600 || s.Snapshots.Pending != 0 || b.shut != 1 {
			t.Errorf("afterwards: %+v, %d shutdowns", s, b.shut)
		}
		if fails, works := strings.Count(log.String(), "exporter fails"), strings.Count(log.String(), "works again"); fails != 1 || works != 1 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// When memory is full the oldest snapshots without events are dropped first.
func TestSnapshotsWithEventsAreDroppedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.does(down)
		x, _ := newSpool(t, b, spool.Config{MaxMemory: 64 << 10})
		long := strings.Repeat("x", 500)
		for seq := range 1000 {
			if seq%100 == 0 {
				export(t, x, snapshot(seq, long))
			}
			export(t, x, snapshot(seq))
		}
		s := balanced(t, x)
		if s.Events.Pending != 10 || s.Snapshots.Dropped(exporters.DropOverflow) == 0 || s.Spool.Bytes > 64<<10 {
			t.Errorf("events were dropped before snapshots: %+v", s)
		}
		// More events than fit: the oldest are dropped.
		for seq := range 200 {
			export(t, x, snapshot(1000+seq, long))
		}
		s = balanced(t, x)
		if s.Events.Dropped(exporters.DropOverflow) == 0 || s.Spool.Bytes > 64<<10 {
			t.Errorf("events are not bounded: %+v", s)
		}
		b.does(nil)
		s = stop(t, x, time.Minute)
		got := b.seqs()
		if !strings.HasSuffix(got, "1199:"+long) || s.Snapshots.Pending != 0 || s.Events.Delivered+s.Events.Lost() != 210 {
			t.Errorf("the newest was not kept: %+v, …%s", s, got[max(0, len(got)-20):])
		}
	})
}

func TestHangingBackendDelaysNeitherExportNorShutdown(t *testing.T) {
	for name, ignores := range map[string]bool{"observes its context": false, "ignores its context": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				b := &backend{}
				b.does(func(ctx context.Context, _ *runtimeinfo.Snapshot) error {
					if ignores {
						<-release
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				})
				x, log := newSpool(t, b, spool.Config{Timeout: 5 * time.Second})
				begin := time.Now()
				for seq := range 100 {
					export(t, x, snapshot(seq, "e"))
				}
				if took := time.Since(begin); took > 0 {
					t.Errorf("100 Exports took %v", took)
				}
				time.Sleep(6 * time.Second)
				export(t, x, snapshot(100), snapshot(101)) // as the next ticks do
				synctest.Wait()
				if n := strings.Count(log.String(), "exporter fails"); n != 1 {
					t.Errorf("the log has %d lines on the hanging call:\n%s", n, log)
				}
				if s := balanced(t, x); s.State != exporters.StateFailing || !strings.Contains(s.LastError, "timeout") {
					t.Errorf("while it hangs: %+v", s)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				begin = time.Now()
				err := x.Shutdown(ctx)
				if took := time.Since(begin); took > 2*time.Second || (err != nil) != ignores {
					t.Errorf("Shutdown took %v: %v", took, err)
				}
				s := balanced(t, x)
				if s.Events.Dropped(exporters.DropShutdown) != 100 || s.Snapshots.Dropped(exporters.DropShutdown) != 102 || s.Events.Pending != 0 {
					t.Errorf("after Shutdown: %+v", s)
				}
				if ignores == (b.shut > 0) {
					t.Errorf("the exporter was shut down %d times while it was called: %v", b.shut, ignores)
				}
				close(release)
				synctest.Wait()
				if after := balanced(t, x); after.Events != s.Events {
					t.Errorf("a result after Shutdown counted: %+v", after.Events)
				}
				if b.shut != 1 {
					t.Errorf("the exporter was shut down %d times in the end", b.shut)
				}
			})
		})
	}
}

func TestRejectedRecordsAreNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.does(func(_ context.Context, s *runtimeinfo.Snapshot) error {
			if len(s.Events) > 0 {
				return &exporters.RejectedError{Events: 1, Err: errors.New("too large")}
			}
			return nil
		})
		x, _ := newSpool(t, b, spool.Config{})
		export(t, x, snapshot(1, "a", "b"), snapshot(2))
		synctest.Wait()
		s := stop(t, x, time.Second)
		if b.called() != 2 || s.Events.Dropped(exporters.DropRejected) != 1 || s.Events.Delivered != 1 || s.Snapshots.Delivered != 2 {
			t.Errorf("%d calls, %+v", b.called(), s)
		}
	})
}

// An event that no backend accepts is refused at once; the rest of the snapshot is accepted.
func TestExportRefusesLargeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		x, _ := newSpool(t, b, spool.Config{})
		big := exporttest.Event()
		for range 20 { // each is cut at 64 KiB
			big.Attrs = append(big.Attrs, slog.String("long", strings.Repeat("x", 2<<20)))
		}
		s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{big, exporttest.Event()})
		err := x.Export(t.Context(), s)
		var rejected *exporters.RejectedError
		if !errors.As(err, &rejected) || rejected.Events != 1 || rejected.Snapshot {
			t.Errorf("Export: %v", err)
		}
		if st := stop(t, x, time.Second); st.Events.Accepted != 1 || st.Events.Delivered != 1 || st.Snapshots.Delivered != 1 {
			t.Errorf("%+v", st)
		}
		if got := b.got[0].Events[0].Name; got != exporttest.Event().Name {
			t.Errorf("delivered %s", got)
		}
	})
}

// A record on which the backend always fails does not block the others for long.
func TestBadRecordBecomesADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.does(func(_ context.Context, s *runtimeinfo.Snapshot) error {
			if s.Seq == 3 {
				return errors.New("connection reset")
			}
			return nil
		})
		x, log := newSpool(t, b, spool.Config{})
		for seq := 1; seq <= 30; seq++ {
			export(t, x, snapshot(seq, "e"))
			time.Sleep(time.Second)
		}
		s := stop(t, x, time.Second)
		if s.Snapshots.Delivered != 29 || s.Snapshots.Dropped(exporters.DropDeadLetter) != 1 || s.Events.Dropped(exporters.DropDeadLetter) != 1 {
			t.Errorf("%+v", s)
		}
		if n := strings.Count(log.String(), "dead letters"); n != 1 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// Records of the same moment may share a flaw.
func TestConsecutiveBadRecordsBecomeDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.does(func(_ context.Context, s *runtimeinfo.Snapshot) error {
			if s.Seq >= 3 && s.Seq <= 6 {
				return errors.New("connection reset")
			}
			return nil
		})
		x, _ := newSpool(t, b, spool.Config{})
		for seq := 1; seq <= 120; seq++ {
			export(t, x, snapshot(seq, "e"))
			time.Sleep(time.Second)
		}
		s := stop(t, x, time.Second)
		if s.Snapshots.Delivered != 116 || s.Snapshots.Dropped(exporters.DropDeadLetter) != 4 || s.Snapshots.Lost() != 4 {
			t.Errorf("%+v", s)
		}
	})
}

// No record becomes a dead letter in an outage, even one with short interruptions.
func TestOutageMakesNoDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, b := time.Now(), &backend{}
		b.does(func(context.Context, *runtimeinfo.Snapshot) error {
			if d := time.Since(begin); d < 10*time.Minute && d%(40*time.Second) > time.Millisecond {
				return errDown
			}
			return nil
		})
		x, _ := newSpool(t, b, spool.Config{})
		for seq := range 900 {
			export(t, x, snapshot(seq))
			time.Sleep(time.Second)
		}
		if s := stop(t, x, time.Second); s.Snapshots.Delivered != 900 {
			t.Errorf("%+v", s)
		}
	})
}

func TestRecordsExpireAfterMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.does(down)
		x, _ := newSpool(t, b, spool.Config{MaxAge: time.Hour})
		for seq := range 120 {
			export(t, x, snapshot(seq, "e"))
			time.Sleep(time.Minute)
		}
		b.does(nil)
		time.Sleep(time.Minute)
		s := stop(t, x, time.Second)
		if n := s.Snapshots.Dropped(exporters.DropExpired); n < 59 || n > 62 || s.Events.Dropped(exporters.DropExpired) != n {
			t.Errorf("%+v", s)
		}
	})
}

func TestPanicOfTheBackendIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.does(func(context.Context, *runtimeinfo.Snapshot) error { panic("test") })
		x, log := newSpool(t, b, spool.Config{})
		export(t, x, snapshot(1))
		synctest.Wait()
		if s := balanced(t, x); s.Panics != 1 || s.Snapshots.Pending != 1 || !strings.Contains(log.String(), "helpers_test.go") {
			t.Errorf("%+v, log:\n%s", s, log)
		}
		b.does(nil)
		if s := stop(t, x, time.Second); s.Snapshots.Delivered != 1 {
			t.Errorf("%+v", s)
		}
	})
}
