// SPDX-License-Identifier: Apache-2.0

package profiler_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

var start = time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)

// all returns the stored profiles of a kind.
func all(p *profiler.Profiler, k profiler.Kind) []profiler.Profile {
	return p.Profiles(k, time.Time{}, start.Add(10*365*24*time.Hour))
}

func total(p *profiler.Profiler) (bytes int) {
	for _, k := range []profiler.Kind{profiler.CPU, profiler.Heap, profiler.Goroutine} {
		for _, x := range all(p, k) {
			bytes += x.Bytes
		}
	}
	return bytes
}

// After an incident of an hour, the healthy hour before it is still there, even if the profiles of an
// hour alone exceed the limit.
func TestHealthyHourRemains(t *testing.T) {
	const limit = 1 << 20
	for name, size := range map[string]int{"small": 500, "large": 12_500} {
		t.Run(name, func(t *testing.T) {
			p := newProfiler(t, profiler.Config{MaxBytes: limit})
			for at := start; at.Before(start.Add(6 * time.Hour)); at = at.Add(30 * time.Second) {
				p.Store(profiler.CPU, at, make([]byte, size))
				if n := total(p); n > limit {
					t.Fatalf("%d bytes after %v", n, at.Sub(start))
				}
			}
			end := start.Add(6 * time.Hour)
			healthy := p.Profiles(profiler.CPU, end.Add(-2*time.Hour), end.Add(-time.Hour))
			if want := min(40, limit/size/8); len(healthy) < want {
				t.Errorf("%d profiles of the hour before the last, want %d", len(healthy), want)
			}
			previous := end.Add(-2 * time.Hour)
			for _, x := range healthy {
				if gap := x.To.Sub(previous); gap > 15*time.Minute {
					t.Errorf("no profile for %v before %v", gap, x.To)
				}
				previous = x.To
			}
			if last := all(p, profiler.CPU); !last[len(last)-1].To.Equal(end.Add(-30 * time.Second)) {
				t.Error("the newest profile is missing")
			}
		})
	}
}

// Profiles of one kind do not displace profiles of another, and no profile is older than a day.
func TestLimitsOfTheHistory(t *testing.T) {
	p := newProfiler(t, profiler.Config{MaxBytes: 100_000})
	for i := range 2 * 24 * 6 {
		at := start.Add(time.Duration(i) * 10 * time.Minute)
		p.Store(profiler.Heap, at, make([]byte, 100))
		p.Store(profiler.Goroutine, at, make([]byte, 50_000))
		if n := total(p); n > 100_000 {
			t.Fatalf("%d bytes after %d", n, i)
		}
	}
	heap := all(p, profiler.Heap)
	if len(heap) < 20 || len(heap) > 60 || len(all(p, profiler.Goroutine)) == 0 {
		t.Errorf("%d heap and %d goroutine profiles", len(heap), len(all(p, profiler.Goroutine)))
	}
	if age := heap[len(heap)-1].To.Sub(heap[0].To); age > 24*time.Hour || age < 20*time.Hour {
		t.Errorf("the oldest is %v older than the newest", age)
	}
	p.Store(profiler.CPU, start.Add(100*time.Hour), make([]byte, 200_000))
	if n := total(p); n > 100_000 {
		t.Errorf("%d bytes after a profile larger than the limit", n)
	}
}

// Profiles on disk are private, in a directory of this process, and are removed at the end. Files of
// other programs remain, and so do the profiles of processes that run.
func TestHistoryOnDisk(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "evidence")
	old := time.Now().Add(-3 * time.Hour)
	dead, foreign, running := filepath.Join(parent, "profiles-0123abcd"), filepath.Join(parent, "profiles-of-mine"), filepath.Join(parent, "profiles-76543210")
	for _, dir := range []string{dead, foreign, running} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "x.pb.gz"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{dead, foreign} {
		if err := os.Chtimes(dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
	p := newProfiler(t, profiler.Config{Dir: parent})
	p.Store(profiler.Heap, start, []byte("first"))
	p.Store(profiler.Heap, start, []byte("second"))
	stored := all(p, profiler.Heap)
	for i, want := range []string{"first", "second"} {
		data, err := p.Read(stored[i])
		if string(data) != want || err != nil || !strings.HasPrefix(stored[i].File(), parent) {
			t.Errorf("%q from %s, %v", data, stored[i].File(), err)
		}
		if info, err := os.Stat(stored[i].File()); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o600) {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	own := filepath.Dir(stored[0].File())
	if info, err := os.Stat(own); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o700) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	exists := func(path string) bool {
		_, err := os.Stat(path)
		return !errors.Is(err, fs.ErrNotExist)
	}
	if exists(dead) || !exists(filepath.Join(foreign, "x.pb.gz")) || !exists(filepath.Join(running, "x.pb.gz")) {
		t.Errorf("dead %v, foreign %v, running %v", exists(dead), exists(foreign), exists(running))
	}
	if err := os.WriteFile(filepath.Join(own, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if entries, err := os.ReadDir(own); len(entries) != 1 || entries[0].Name() != "notes.txt" || err != nil {
		t.Errorf("after the end: %v, %v", entries, err)
	}
	if n := len(all(p, profiler.Heap)); n != 0 {
		t.Errorf("%d profiles after the end", n)
	}
	if _, err := p.Read(stored[0]); !errors.Is(err, profiler.ErrGone) {
		t.Errorf("read a removed profile: %v", err)
	}
}

// While the directory is not writable, profiles are stored in memory. The log has one line for each
// change.
func TestUnwritableDirectory(t *testing.T) {
	var log bytes.Buffer
	parent := filepath.Join(t.TempDir(), "evidence")
	if err := os.WriteFile(parent, nil, 0o600); err != nil { // a file in place of the directory
		t.Fatal(err)
	}
	p := newProfiler(t, profiler.Config{Dir: parent, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	p.Store(profiler.Heap, start, []byte("first"))
	p.Store(profiler.Heap, start, []byte("second"))
	if err := os.Remove(parent); err != nil {
		t.Fatal(err)
	}
	p.Store(profiler.Heap, start, []byte("third"))
	for i, want := range []string{"first", "second", "third"} {
		x := all(p, profiler.Heap)[i]
		if data, err := p.Read(x); string(data) != want || err != nil || (x.File() != "") != (want == "third") {
			t.Errorf("%q from %q, %v, want %q", data, x.File(), err, want)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

// analyze passes events to p, as at a tick.
func analyze(t *testing.T, p *profiler.Profiler, events ...runtimeinfo.Event) {
	t.Helper()
	c, err := runtimeinfo.NewCatalogue(p.Metrics()...)
	if err != nil {
		t.Fatal(err)
	}
	b := runtimeinfo.NewBuilder(c, runtimeinfo.Snapshot{})
	d := b.Draft()
	d.Events = append(d.Events, events...)
	b.Merge(d)
	d = b.Draft()
	p.Analyze(d)
}

func incident(id string, phase runtimeinfo.IncidentPhase, at time.Time) runtimeinfo.Event {
	return runtimeinfo.Event{Time: at, Incident: &runtimeinfo.Incident{ID: id, Phase: phase}}
}

// The last healthy time has no open incident, and is not just before one.
func TestHealthy(t *testing.T) {
	p := newProfiler(t, profiler.Config{})
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	for n := range 180 {
		p.Store(profiler.CPU, minute(n), []byte("x"))
		if n%10 == 0 {
			p.Store(profiler.Heap, minute(n), []byte("x"))
		}
	}
	times := func(k profiler.Kind, before int) (minutes []int) {
		for _, x := range p.Healthy(k, minute(before)) {
			minutes = append(minutes, int(x.To.Sub(start).Minutes()))
		}
		return minutes
	}
	if got := times(profiler.CPU, 100); len(got) != 61 || got[0] != 40 || got[60] != 100 {
		t.Errorf("without an incident: %v", got)
	}
	analyze(t, p, incident("a", runtimeinfo.IncidentOpened, minute(100)))
	analyze(t, p, incident("a", runtimeinfo.IncidentWorsened, minute(120)), incident("b", runtimeinfo.IncidentOpened, minute(130)))
	for _, before := range []int{100, 140, 179} {
		if got := times(profiler.CPU, before); len(got) != 61 || got[60] != 94 {
			t.Errorf("before %d: %v", before, got)
		}
		if got := times(profiler.Heap, before); len(got) != 1 || got[0] != 90 {
			t.Errorf("before %d, heap: %v", before, got)
		}
	}
	analyze(t, p, incident("a", runtimeinfo.IncidentClosed, minute(150)))
	if got := times(profiler.Heap, 179); got[0] != 90 {
		t.Errorf("while one of two incidents is open: %v", got)
	}
	analyze(t, p, incident("b", runtimeinfo.IncidentClosed, minute(160)))
	if got := times(profiler.CPU, 179); got[0] != 160 || got[len(got)-1] != 179 {
		t.Errorf("after both: %v", got)
	}
	if got := times(profiler.Heap, 3); len(got) != 1 || got[0] != 0 {
		t.Errorf("after the first profile: %v", got)
	}
}

// If an incident opens soon after the start, the first profile is the one to compare with.
func TestHealthySoonAfterTheStart(t *testing.T) {
	p := newProfiler(t, profiler.Config{})
	p.Store(profiler.Heap, start, []byte("x"))
	p.Store(profiler.Heap, start.Add(3*time.Minute), []byte("x"))
	analyze(t, p, incident("a", runtimeinfo.IncidentOpened, start.Add(2*time.Minute)))
	if got := p.Healthy(profiler.Heap, start.Add(time.Hour)); len(got) != 1 || !got[0].To.Equal(start) {
		t.Errorf("%v", got)
	}
	if got := p.Healthy(profiler.Goroutine, start.Add(time.Hour)); got != nil {
		t.Errorf("%v", got)
	}
}

// Heap and goroutine profiles are taken regularly, and when an incident opens.
func TestHeapAndGoroutineProfiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProfiler(t, profiler.Config{NoCPU: true})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.Run(ctx)
		}()
		begin := time.Now()
		time.Sleep(time.Hour)
		var minutes []int
		for _, x := range p.Profiles(profiler.Goroutine, begin, time.Now()) {
			minutes = append(minutes, int(x.To.Sub(begin).Minutes()))
			data, err := p.Read(x)
			if _, decodeErr := profiles.Decode(data); err != nil || decodeErr != nil {
				t.Errorf("%v, %v", err, decodeErr)
			}
		}
		if n := len(minutes); n < 8 || n > 9 || minutes[1] != 1 || minutes[2] != 3 || minutes[n-1]-minutes[n-2] > 11 {
			t.Errorf("goroutine profiles after %v minutes", minutes)
		}
		before := len(p.Profiles(profiler.Heap, begin, time.Now()))
		for i := range 5 {
			analyze(t, p, incident(string(rune('a'+i)), runtimeinfo.IncidentOpened, time.Now()))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if n := len(p.Profiles(profiler.Heap, begin, time.Now())) - before; n < 1 || n > 2 {
			t.Errorf("%d heap profiles at five incidents within five seconds", n)
		}
		cancel()
		<-done
		if n := p.Taken(); n["heap"] != n["goroutine"] || n["cpu"] != 0 {
			t.Errorf("taken: %v", n)
		}
	})
}

// Without memory there is neither a heap nor a goroutine profile. The log has one line for each kind.
func TestNoHeapProfileWithoutMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := newProfiler(t, profiler.Config{NoCPU: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		p.SetFits(func(int64) error { return headroom.ErrShort })
		run(p, 90*time.Second)
		if n := p.Missed()["memory"]; n != 4 {
			t.Errorf("missed %v", p.Missed())
		}
		if n := strings.Count(log.String(), "no profile was taken"); n != 2 {
			t.Errorf("%d lines, want one for heap and one for goroutine profiles:\n%s", n, log.String())
		}
	})
}
