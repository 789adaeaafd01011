package goroutines_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// caller calls the roll of goroutines that it makes up: one of each number.
type caller struct {
	calls []time.Time
	call  func() ([]goroutines.Member, error)
}

func (c *caller) RollCall(context.Context) ([]goroutines.Member, error) {
	c.calls = append(c.calls, time.Now())
	return c.call()
}

// leak parks more goroutines each slot, until the test ends.
func leak(t *testing.T, each int) (more func()) {
	t.Helper()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	return func() {
		for range each {
			go func() { <-stop }()
		}
	}
}

func detective(c goroutines.RollCaller) *goroutines.Detective {
	return goroutines.NewDetective(goroutines.DetectiveConfig{RollCaller: c, Share: 1, Logger: slog.New(slog.DiscardHandler)})
}

// investigate runs the detective on a growing group, without spans, for a while
// of the bubble's time.
func investigate(t *testing.T, d *goroutines.Detective, slots int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		d.Run(ctx, func() *runtimeinfo.Snapshot { return nil })
		close(done)
	}()
	more := leak(t, 10)
	for range slots {
		more()
		time.Sleep(5 * time.Second)
	}
	cancel()
	<-done
}

func TestRollIsCalledHalfAMinuteApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &caller{call: func() ([]goroutines.Member, error) { return nil, nil }}
		d := detective(c)
		investigate(t, d, 40)
		if len(c.calls) < 2 {
			t.Fatalf("%d roll calls in 200 s", len(c.calls))
		}
		for i := 1; i < len(c.calls); i++ {
			if apart := c.calls[i].Sub(c.calls[i-1]); apart < 30*time.Second {
				t.Errorf("roll calls %v apart", apart)
			}
		}
		if n := d.Findings().RollCalls; n != uint64(len(c.calls)) {
			t.Errorf("%d roll calls counted of %d", n, len(c.calls))
		}
	})
}

func TestRollCallsThatFailAreCounted(t *testing.T) {
	for name, call := range map[string]func() ([]goroutines.Member, error){
		"error": func() ([]goroutines.Member, error) { return nil, errors.New("in use") },
		"panic": func() ([]goroutines.Member, error) { panic("corrupt") },
	} {
		synctest.Test(t, func(t *testing.T) {
			c := &caller{call: call}
			d := detective(c)
			investigate(t, d, 20)
			f := d.Findings()
			if f.RollCallsFailed == 0 || f.RollCalls != 0 || f.RollCallsFailed != uint64(len(c.calls)) {
				t.Errorf("%s: %d calls, counted %d taken, %d failed", name, len(c.calls), f.RollCalls, f.RollCallsFailed)
			}
			suspected := slices.ContainsFunc(d.Report().Verdicts, func(v goroutines.Verdict) bool { return v.Kind == goroutines.Leak })
			if !suspected {
				t.Errorf("%s: no suspicion without roll calls: %v", name, d.Report().Verdicts)
			}
		})
	}
}
