// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/guard"
)

func TestCallReturnsTimeoutsAndPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := guard.Call(t.Context(), time.Second, func(context.Context) error { return nil }); err != nil {
			t.Error(err)
		}
		err := guard.Call(t.Context(), time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, guard.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call that exceeds its timeout: %v", err)
		}
		err = guard.Call(t.Context(), time.Second, func(context.Context) error { panic("oh") })
		var p *guard.PanicError
		if !errors.As(err, &p) || p.Value != "oh" || !bytes.Contains(p.Stack, []byte("guard_test.go")) {
			t.Errorf("a panic: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := guard.Call(ctx, time.Second, func(ctx context.Context) error { return ctx.Err() }); errors.Is(err, guard.ErrTimeout) {
			t.Errorf("a canceled call is reported as a timeout: %v", err)
		}
	})
}

// nilError is the type of a nil pointer that is returned as an error.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// TestCallRecoversAPanicOfTheErrorMethod returns an error whose Error method panics.
func TestCallRecoversAPanicOfTheErrorMethod(t *testing.T) {
	err := guard.Call(t.Context(), time.Hour, func(context.Context) error { return (*nilError)(nil) })
	if _, ok := errors.AsType[*guard.PanicError](err); !ok {
		t.Fatalf("%T", err)
	}
	var s exporters.Stats
	guard.CountFailure(&s, err)
	guard.LogChange(slog.New(slog.DiscardHandler), exporters.StateOK, err)
	if s.Panics != 1 || !strings.Contains(s.LastError, "nil pointer") {
		t.Errorf("%+v", s)
	}
}

// TestCountDeliveryCountsEachRecordOnce has exporters that report any number of rejected
// events.
func TestCountDeliveryCountsEachRecordOnce(t *testing.T) {
	rejected := func(events int, snapshot bool) error {
		return fmt.Errorf("export: %w", &exporters.RejectedError{Events: events, Snapshot: snapshot, Err: errors.New("too large")})
	}
	for name, test := range map[string]struct {
		err                          error
		counted                      bool
		events, snapshots, lost, bad uint64
	}{
		"all delivered":      {nil, true, 3, 1, 0, 0},
		"failed":             {errors.New("down"), false, 0, 0, 0, 0},
		"one event rejected": {rejected(1, false), true, 2, 1, 1, 1},
		"all rejected":       {rejected(3, true), true, 0, 0, 4, 1},
		"more than all":      {rejected(99, false), true, 0, 1, 3, 1},
		"less than none":     {rejected(-1, false), true, 3, 1, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var s exporters.Stats
			if got := guard.CountDelivery(&s, 3, test.err); got != test.counted {
				t.Errorf("CountDelivery = %v", got)
			}
			if s.Events.Delivered != test.events || s.Snapshots.Delivered != test.snapshots || s.Events.Lost()+s.Snapshots.Lost() != test.lost || s.Errors != test.bad {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestLogChangeLogsOncePerChange(t *testing.T) {
	var buf bytes.Buffer
	l := slog.New(slog.NewTextHandler(&buf, nil))
	var s exporters.Stats
	panicked := guard.Call(t.Context(), time.Hour, func(context.Context) error { panic("oh") })
	for _, err := range []error{nil, errors.New("down"), errors.New("down"), panicked, nil, nil, panicked} {
		was := s.State
		if !guard.CountDelivery(&s, 0, err) {
			guard.CountFailure(&s, err)
		}
		guard.LogChange(l, was, err)
	}
	var logged []string
	for line := range strings.Lines(buf.String()) {
		_, msg, _ := strings.Cut(line, "gmpulse: exporter ")
		logged = append(logged, strings.Fields(msg)[0])
	}
	if got := strings.Join(logged, " "); got != `fails" works panicked"` || s.Panics != 2 || s.Errors != 2 || s.LastError != "panic: oh" {
		t.Errorf("log %s, %+v", got, s)
	}
}
