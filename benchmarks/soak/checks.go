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
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// bound is how late a tick may be. Nothing in the agent takes that long; the rest
// is for a machine that others use too.
const bound = 2 * time.Second

// names are those of what a process holds.
var names = []string{"heap", "goroutines", "descriptors", "disk"}

// holding is what the process holds at rest, by the index of names.
type holding struct {
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

// rest waits until what has to end has ended and what has to be delivered is.
func (s *service) rest() holding {
	deadline := time.Now().Add(20 * time.Second)
	for s.pending() > 2 && time.Now().Before(deadline) { // one may be under way, one in the mailbox
		time.Sleep(50 * time.Millisecond)
	}
	if n := s.pending(); n > 2 {
		s.note(fmt.Errorf("%d records still wait for the server, which is back", n))
	}
	// The least of some looks: a survey or a connection that is just being closed
	// is nothing that stays.
	least := holding{}
	for i := range 20 {
		time.Sleep(100 * time.Millisecond)
		h := s.holding()
		for k := range h.values {
			if i == 0 || h.values[k].n < least.values[k].n {
				least.values[k] = h.values[k]
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

func (s *service) holding() holding {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	descriptors, err := os.ReadDir("/proc/self/fd")
	s.note(err)
	disk, err := diskUse(s.dir)
	s.note(err)
	return holding{[4]quantity{{int64(m.HeapAlloc), "B"}, {int64(runtime.NumGoroutine()), ""}, {int64(len(descriptors)), ""}, {disk, "B"}}}
}

func diskUse(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// flat says what the process holds more of at the end than after a quarter. The
// page's history fills up for an hour, up to 2 MB; the spool's file, whose records are
// bounded, doubles up to 1 MiB; the rest is noise.
func flat(first, last holding) error {
	more := [4]int64{4 << 20, 3, 3, 768 << 10}
	var errs []error
	for i := range first.values {
		if last.values[i].n > first.values[i].n+more[i] {
			errs = append(errs, fmt.Errorf("%s grew from %v to %v", names[i], first.values[i], last.values[i]))
		}
	}
	return errors.Join(errs...)
}

// balanced holds each exporter to its account; at the end nothing may be pending.
func balanced(all []exporters.Stats, end bool) error {
	var errs []error
	for _, e := range all {
		for what, a := range map[string]exporters.Account{"snapshots": e.Snapshots, "events": e.Events} {
			if a.Accepted != a.Delivered+a.Lost()+a.Pending || end && a.Pending > 0 && e.Spool == nil {
				errs = append(errs, fmt.Errorf("the account of %s does not balance: %s %+v", e.Name, what, a))
			}
		}
	}
	return errors.Join(errs...)
}

// errors returns what went wrong on the way.
func (s *service) errors() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(slices.Collect(maps.Values(s.errs))...)
}

// page is the address of something below the live page.
func (s *service) page(path string) string {
	base := strings.TrimSuffix(s.agent.URL(), "/")
	if rest, isUp := strings.CutPrefix(path, "../../"); isUp {
		return base + "/" + rest
	}
	return base + "/debug/gmpulse/" + path
}

// left tells of goroutines of the agent's that outlive it.
func left() error {
	var b strings.Builder
	for range 50 { // those that are on their way out
		b.Reset()
		if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
			return err
		}
		if !strings.Contains(b.String(), `"gmpulse":`) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("goroutines of the agent's are left after Stop:\n%s", &b)
}

// watch is an exporter that never fails and remembers how late ticks were.
type watch struct {
	mu       sync.Mutex
	lateness []float64
}

func newWatch() *watch { return &watch{} }

func (w *watch) Export(_ context.Context, s *runtimeinfo.Snapshot) error {
	late, ok := s.Number("gmpulse.tick.lateness")
	w.mu.Lock()
	defer w.mu.Unlock()
	if ok && cap(w.lateness) == 0 {
		w.lateness = make([]float64, 0, 1<<20) // once, so that it does not look like a leak
	}
	if ok && len(w.lateness) < cap(w.lateness) {
		w.lateness = append(w.lateness, late)
	}
	return nil
}

func (*watch) Shutdown(context.Context) error { return nil }

func (w *watch) ticks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.lateness)
}

func (w *watch) latest() time.Duration { return w.late(1) }

// late returns by how much that share of all ticks was late at most.
func (w *watch) late(share float64) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lateness) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(w.lateness))
	seconds := sorted[int(share*float64(len(sorted)-1))]
	return time.Duration(seconds * float64(time.Second)).Round(10 * time.Microsecond)
}

// punctual says whether a tick was too late, or whether there were none.
func (w *watch) punctual() error {
	if w.ticks() == 0 {
		return errors.New("no ticks")
	}
	if l := w.latest(); l > bound {
		return fmt.Errorf("a tick was %v late, the bound is %v", l, bound)
	}
	return nil
}
