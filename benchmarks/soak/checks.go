// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// latenessLimit is the largest accepted delay of a tick. The agent itself delays none
// that long; other jobs on the machine may.
const latenessLimit = 2 * time.Second

// resources are the names of usage.values.
var resources = []string{"heap", "goroutines", "descriptors", "disk"}

// usage is what the process uses while the load pauses, by the index of resources.
type usage struct {
	values [4]quantity
}

type quantity struct {
	n    int64
	unit string
}

func (q quantity) String() string {
	if q.unit == "B" {
		return fmt.Sprintf("%.2f MB", float64(q.n)/1e6)
	}
	return fmt.Sprint(q.n)
}

// pause waits until the records are delivered and returns what the process uses then.
func (s *service) pause() usage {
	deadline := time.Now().Add(20 * time.Second)
	for s.pending() > 2 && time.Now().Before(deadline) { // one may be in flight, one in the mailbox
		time.Sleep(50 * time.Millisecond)
	}
	if n := s.pending(); n > 2 {
		s.addError(fmt.Errorf("%d records are pending although the server is back", n))
	}
	// The minimum of several samples excludes short-lived use, such as a survey or a
	// connection that is being closed.
	least := usage{}
	for i := range 20 {
		time.Sleep(100 * time.Millisecond)
		u := s.usage()
		for k := range u.values {
			if i == 0 || u.values[k].n < least.values[k].n {
				least.values[k] = u.values[k]
			}
		}
	}
	return least
}

func (s *service) pending() (n uint64) {
	for _, e := range s.agent.Stats().Exporters {
		n += e.Events.Pending
		if e.Spool != nil {
			n += e.Snapshots.Pending
		}
	}
	return n
}

func (s *service) usage() usage {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	descriptors, err := os.ReadDir("/proc/self/fd")
	s.addError(err)
	disk, err := diskUse(s.dir)
	s.addError(err)
	return usage{[4]quantity{{int64(m.HeapAlloc), "B"}, {int64(runtime.NumGoroutine()), ""}, {int64(len(descriptors)), ""}, {disk, "B"}}}
}

func diskUse(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted since WalkDir listed it
		}
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// checkGrowth reports the resources of which the process uses more at the end than
// after a quarter of the length. It allows for the page's history, which grows to 2 MB
// within an hour, for the spool's file, which doubles up to 1 MiB, for the evidence store, which
// keeps one snapshot a second of up to 64 KB until it has 15 minutes of them, and for noise.
func checkGrowth(first, last usage, length time.Duration) error {
	kept := min(length, 15*time.Minute) - min(length/4, 15*time.Minute)
	allowed := [4]int64{4<<20 + int64(kept/time.Second)<<16, 3, 3, 768 << 10}
	var errs []error
	for i := range first.values {
		if last.values[i].n > first.values[i].n+allowed[i] {
			errs = append(errs, fmt.Errorf("%s grew from %v to %v", resources[i], first.values[i], last.values[i]))
		}
	}
	return errors.Join(errs...)
}

// checkKept reports that there was no capture or no state file, and whether they
// take more disk space than they may.
func (s *service) checkKept() error {
	var errs []error
	if s.captures.Load()+s.refused.Load() == 0 {
		errs = append(errs, errors.New("no bundle of evidence was created or refused"))
	}
	if _, err := os.Stat(filepath.Join(s.kept, "state")); err != nil {
		errs = append(errs, err)
	}
	const most = maxEvidence + maxProfiles + 4<<20
	n, err := diskUse(s.kept)
	if n > most {
		errs = append(errs, fmt.Errorf("evidence, profiles and baselines take %d bytes, want at most %d", n, most))
	}
	return errors.Join(append(errs, err)...)
}

// checkCounts reports exporters whose accepted records are not the sum of delivered,
// lost and pending ones. At the end none may be pending, except in a spool.
func checkCounts(all []exporters.Stats, end bool) error {
	var errs []error
	for _, e := range all {
		for what, a := range map[string]exporters.Account{"snapshots": e.Snapshots, "events": e.Events} {
			if a.Accepted != a.Delivered+a.Lost()+a.Pending || end && a.Pending > 0 && e.Spool == nil {
				errs = append(errs, fmt.Errorf("exporter %s: the counts of %s do not add up: %+v", e.Name, what, a))
			}
		}
	}
	return errors.Join(errs...)
}

// errors returns the errors recorded during the run.
func (s *service) errors() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(slices.Collect(maps.Values(s.errs))...)
}

// page returns the URL of a path below the live page.
func (s *service) page(path string) string {
	base := strings.TrimSuffix(s.agent.URL(), "/")
	if rest, isUp := strings.CutPrefix(path, "../../"); isUp {
		return base + "/" + rest
	}
	return base + "/debug/gmpulse/" + path
}

// checkLeaks reports goroutines of the agent that have not ended after Stop.
func checkLeaks() error {
	var b strings.Builder
	for range 50 { // time for goroutines that are about to end
		b.Reset()
		if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
			return err
		}
		if !strings.Contains(b.String(), `"gmpulse":`) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("goroutines of the agent have not ended after Stop:\n%s", &b)
}

// paced is an exporter with an interval of several ticks.
type paced struct {
	calls, ticks atomic.Uint64
}

func (p *paced) Export(_ context.Context, s *runtimeinfo.Snapshot) error {
	p.calls.Add(1)
	p.ticks.Add(uint64(max(1, s.Ticks)))
	return nil
}

func (*paced) Shutdown(context.Context) error { return nil }

// check returns an error if the snapshots together do not cover all ticks.
func (p *paced) check(ticks uint64) error {
	if n := p.ticks.Load(); n != ticks || p.calls.Load() > ticks/4 {
		return fmt.Errorf("the exporter with an interval received %d of %d ticks in %d snapshots", n, ticks, p.calls.Load())
	}
	return nil
}

// watch is an exporter that never fails. It records the lateness of each tick.
type watch struct {
	mu   sync.Mutex
	late []float64 // seconds
}

func newWatch() *watch { return &watch{} }

func (w *watch) Export(_ context.Context, s *runtimeinfo.Snapshot) error {
	late, ok := s.Number("gmpulse.tick.lateness")
	w.mu.Lock()
	defer w.mu.Unlock()
	if ok && cap(w.late) == 0 {
		w.late = make([]float64, 0, 1<<20) // allocated at once: growth would look like a leak
	}
	if ok && len(w.late) < cap(w.late) {
		w.late = append(w.late, late)
	}
	return nil
}

func (*watch) Shutdown(context.Context) error { return nil }

func (w *watch) ticks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.late)
}

func (w *watch) maxLateness() time.Duration { return w.lateness(1) }

// lateness returns the quantile q of the ticks' lateness.
func (w *watch) lateness(q float64) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.late) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(w.late))
	seconds := sorted[int(q*float64(len(sorted)-1))]
	return time.Duration(seconds * float64(time.Second)).Round(10 * time.Microsecond)
}

// checkLateness returns an error if a tick was too late or if there were no ticks.
func (w *watch) checkLateness() error {
	if w.ticks() == 0 {
		return errors.New("no ticks")
	}
	if l := w.maxLateness(); l > latenessLimit {
		return fmt.Errorf("a tick was %v late, the limit is %v", l, latenessLimit)
	}
	return nil
}
