// SPDX-License-Identifier: Apache-2.0

package profiler_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

func newProfiler(t testing.TB, c profiler.Config) *profiler.Profiler {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	p, err := profiler.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// cpuProfiler stands for the CPU profiler of the process, whose goroutine blocks in the runtime, so that
// it cannot be used with fake time.
type cpuProfiler struct {
	profile []byte
	mu      sync.Mutex
	to      io.Writer
}

func (c *cpuProfiler) start(w io.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.to != nil {
		return errors.New("cpu profiling already in use")
	}
	c.to = w
	return nil
}

func (c *cpuProfiler) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.to != nil {
		_, _ = c.to.Write(c.profile)
	}
	c.to = nil
}

// newSimulated returns a Profiler with a simulated CPU profiler, which the application uses too.
func newSimulated(t *testing.T, c profiler.Config) (*profiler.Profiler, *cpuProfiler) {
	t.Helper()
	p, process := newProfiler(t, c), &cpuProfiler{profile: cpuProfile(t, sample{"main.main", nil, 1})}
	p.SetCPUProfiler(process.start, process.stop)
	return p, process
}

// run runs p for d of the fake time.
func run(p *profiler.Profiler, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	p.Run(ctx)
}

func TestConfigErrorsNameTheField(t *testing.T) {
	_, err := profiler.New(profiler.Config{For: time.Minute, Every: time.Second, MaxBytes: -1})
	for _, want := range []string{"Config.For", "Config.Every", "Config.MaxBytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// Each period has one profile, at a time within it that differs from period to period.
func TestOneProfileInEachPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newSimulated(t, profiler.Config{For: time.Second, Every: 30 * time.Second})
		begin := time.Now()
		run(p, 50*30*time.Second)
		starts := p.Starts()
		if len(starts) != 50 {
			t.Fatalf("%d profiles in 50 periods; missed %v", len(starts), p.Missed())
		}
		phases := map[time.Duration]bool{}
		for i, s := range starts {
			phase := s.Sub(begin) - time.Duration(i)*30*time.Second
			if phase < 0 || phase > 29*time.Second {
				t.Errorf("profile %d begins %v after its period", i, phase)
			}
			phases[phase.Round(100*time.Millisecond)] = true
		}
		if len(phases) < 20 {
			t.Errorf("only %d different phases", len(phases))
		}
	})
}

// While other code profiles, its profile is not disturbed. The profiles missed are counted, and the
// log has one line. Afterwards profiles are taken again.
func TestApplicationKeepsTheProfiler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p, process := newSimulated(t, profiler.Config{Every: 10 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var out bytes.Buffer
		if err := process.start(&out); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { p.Run(ctx) })
		time.Sleep(10 * time.Minute)
		if n := len(p.Starts()); n != 0 || p.Missed()["busy"] != 60 {
			t.Errorf("%d profiles, missed %v, want 60 busy", n, p.Missed())
		}
		if out.Len() > 0 {
			t.Error("the application's profile has ended")
		}
		process.stop()
		time.Sleep(2 * time.Hour) // longer than the longest pause
		if len(p.Starts()) == 0 {
			t.Error("no profile after the application's has ended")
		}
		cancel()
		wg.Wait()
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "taken again") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

// If the application ends our profile and starts its own, that one is not ended.
func TestApplicationEndsOurProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, process := newSimulated(t, profiler.Config{For: 10 * time.Second, Every: 20 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { p.Run(ctx) })
		for process.start(io.Discard) == nil { // until ours runs
			process.stop()
			time.Sleep(time.Second)
		}
		process.stop()
		var out bytes.Buffer
		if err := process.start(&out); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if out.Len() > 0 {
			t.Error("the application's profile has ended")
		}
		process.stop()
		if p.Missed()["busy"] == 0 || len(p.Starts()) != 0 {
			t.Errorf("%d profiles, missed %v", len(p.Starts()), p.Missed())
		}
		cancel()
		wg.Wait()
	})
}

// Suspend frees the CPU profiler at once and keeps it free until resume is called.
func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, process := newSimulated(t, profiler.Config{For: 10 * time.Second, Every: 20 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { p.Run(ctx) })
		for process.start(io.Discard) == nil {
			process.stop()
			time.Sleep(time.Second)
		}
		before := time.Now()
		resume := p.Suspend(t.Context())
		again := p.Suspend(t.Context())
		if took := time.Since(before); took > time.Second {
			t.Errorf("Suspend took %v", took)
		}
		if err := process.start(io.Discard); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		process.stop()
		resume()
		resume()
		time.Sleep(50 * time.Second)
		if n := len(p.Starts()); n != 1 {
			t.Errorf("%d profiles, want the one that was ended early", n)
		}
		if n := p.Missed()["suspended"]; n < 4 || len(p.Missed()) != 1 {
			t.Errorf("missed %v", p.Missed())
		}
		again()
		time.Sleep(60 * time.Second) // two whole periods at least
		if n := len(p.Starts()); n < 3 {
			t.Errorf("%d profiles after resume", n)
		}
		cancel()
		wg.Wait()
	})
}

// With the profiler of the runtime: requests that suspend the duty cycle always get it, and the CPU
// time of a busy goroutine belongs to its root span.
func TestDutyCycleOfThisProcess(t *testing.T) {
	p := newProfiler(t, profiler.Config{For: 100 * time.Millisecond, Every: 200 * time.Millisecond, RootLabel: "root"})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { p.Run(ctx) })
	wg.Go(func() {
		pprof.Do(ctx, pprof.Labels("root", "GET /busy"), func(ctx context.Context) {
			for ctx.Err() == nil { // uses the CPU
			}
		})
	})
	for range 3 {
		resume := p.Suspend(t.Context())
		if err := pprof.StartCPUProfile(io.Discard); err != nil {
			t.Error(err)
		}
		pprof.StopCPUProfile()
		resume()
		n := p.Usage(time.Time{}, time.Time{}).Profiles
		testutil.Eventually(t, "a profile", func() bool { return p.Usage(time.Time{}, time.Time{}).Profiles > n })
	}
	testutil.Eventually(t, "enough samples", func() bool {
		u := p.Usage(time.Time{}, time.Time{})
		return len(u.Roots) == 1 && u.Roots[0].Samples > 2
	})
	if u := p.Usage(time.Time{}, time.Time{}); u.Roots[0].Root != "GET /busy" || u.Roots[0].Seconds <= 0 {
		t.Errorf("%+v", u)
	}
}

func TestNilProfiler(t *testing.T) {
	var p *profiler.Profiler
	p.Suspend(t.Context())()
	if u := p.Usage(time.Time{}, time.Time{}); u.Profiles != 0 {
		t.Errorf("%+v", u)
	}
}

// Without memory there is no profile.
func TestMissedWithoutMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProfiler(t, profiler.Config{})
		p.SetFits(func(int64) error { return headroom.ErrShort })
		run(p, 5*30*time.Second)
		if p.Missed()["memory"] < 5 || len(p.Starts()) != 0 {
			t.Errorf("%d profiles, missed %v", len(p.Starts()), p.Missed())
		}
		if u := p.Usage(time.Time{}, time.Time{}); u.Missed != 5 {
			t.Errorf("%+v", u)
		}
	})
}

// Goroutines of the agent carry its label, so that their CPU time is not counted as the application's.
func TestRunIsLabelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := newProfiler(t, profiler.Config{Every: time.Hour})
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	for {
		var b bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&b, 0); err != nil {
			t.Fatal(err)
		}
		x, err := profiles.Decode(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range x.Sample {
			if slices.Equal(s.Label["gmpulse"], []string{"profiler"}) {
				return
			}
		}
		if t.Context().Err() != nil {
			t.Fatal("no goroutine has the label")
		}
	}
}
