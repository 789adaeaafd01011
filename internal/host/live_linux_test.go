// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// spin burns CPU on n threads.
func spin(n int, d time.Duration) {
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for range n {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for time.Now().Before(end) {
			}
		})
	}
	wg.Wait()
}

// usage is the CPU time of the process in seconds, as the kernel tells it.
func usage(t *testing.T) float64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func TestLiveProcess(t *testing.T) {
	r := newReader(t, "/")
	before := r.Read(t.Context())
	for _, row := range []struct {
		field    hostfield.Field
		min, max float64
	}{
		{hostfield.ProcessMemoryRSS, 1 << 20, 8 << 30},
		{hostfield.ProcessMemoryVirtual, 16 << 20, 1 << 48},
		{hostfield.ProcessThreads, 2, 1000},
		{hostfield.ProcessFDs, 4, 1000},
		{hostfield.ProcessFaultsMinor, 100, 1e9},
		{hostfield.ProcessFaultsMajor, 0, 1e6},
		{hostfield.ProcessRunQueueWait, 0, 1e4},
		{hostfield.CPUUsable, 0.01, float64(runtime.NumCPU())},
		{hostfield.SystemCPULogical, 1, 4096},
		{hostfield.SystemCPUIdle, 0.01, 1e12},
		{hostfield.SystemMemoryTotal, 64 << 20, 1 << 46},
		{hostfield.SystemMemoryAvailable, 1 << 20, 1 << 46},
		{hostfield.SystemLoad1, 0, 1e5},
	} {
		if got := get(t, before, row.field); got < row.min || got > row.max {
			t.Errorf("field %d is %v, want %v to %v", row.field, got, row.min, row.max)
		}
	}
	if rss, virtual := get(t, before, hostfield.ProcessMemoryRSS), get(t, before, hostfield.ProcessMemoryVirtual); rss >= virtual {
		t.Errorf("%v bytes resident of %v", rss, virtual)
	}

	for began := usage(t); usage(t)-began < 0.2; { // on a busy machine that takes a while
		spin(1, 20*time.Millisecond)
	}
	after := r.Read(t.Context())
	cpu := 0.0
	for _, f := range []hostfield.Field{hostfield.ProcessCPUUser, hostfield.ProcessCPUSystem} {
		cpu += get(t, after, f) - get(t, before, f)
	}
	if cpu < 0.2 || cpu > 5 {
		t.Errorf("CPU time rose by %v s, want at least 0.2", cpu)
	}
	if n := r.Failures(); n != 0 {
		t.Errorf("%d sources failed", n)
	}
}

func TestLiveDescriptors(t *testing.T) {
	r := newReader(t, "/")
	r.Read(t.Context()) // opens what it keeps
	before := get(t, r.Read(t.Context()), hostfield.ProcessFDs)
	files := make([]*os.File, 100)
	for i := range files {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = f
	}
	during := get(t, r.Read(t.Context()), hostfield.ProcessFDs)
	for _, f := range files {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	after := get(t, r.Read(t.Context()), hostfield.ProcessFDs)
	if during != before+100 || after != before {
		t.Errorf("%v descriptors, %v with 100 more files open, %v after", before, during, after)
	}
}

// The number in /proc/self/status is the main thread's; the field is everybody's.
func TestContextSwitchesAreOfAllThreads(t *testing.T) {
	r := newReader(t, "/")
	before, mainBefore := r.Read(t.Context()), mainThread(t, "status", "voluntary_ctxt_switches:")
	const threads, sleeps = 4, 100
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for range sleeps { // a system call, so that the thread itself waits
				_ = syscall.Nanosleep(&syscall.Timespec{Nsec: 1e6}, nil)
			}
		})
	}
	wg.Wait()
	after, mainAfter := r.Read(t.Context()), mainThread(t, "status", "voluntary_ctxt_switches:")
	all := get(t, after, hostfield.ProcessContextSwitchesVoluntary) - get(t, before, hostfield.ProcessContextSwitchesVoluntary)
	t.Logf("%v switches of all threads, %v of the main thread", all, mainAfter-mainBefore)
	if all < threads*sleeps*0.9 {
		t.Errorf("%v switches, want about %d", all, threads*sleeps)
	}
	if mainAfter-mainBefore > all/2 {
		t.Errorf("status shows %v of %v switches: is it no longer the main thread's?", mainAfter-mainBefore, all)
	}
}

// The wait in /proc/self/schedstat is the main thread's; the field is everybody's.
func TestRunQueueWaitIsOfAllThreads(t *testing.T) {
	threads := 4 * runtime.NumCPU()
	if threads > 200 {
		t.Skip("more threads than the reader adds up")
	}
	r := newReader(t, "/")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	before, mainBefore := r.Read(t.Context()), mainThread(t, "schedstat", "")
	spin(threads, 300*time.Millisecond)
	after, mainAfter := r.Read(t.Context()), mainThread(t, "schedstat", "")
	all := get(t, after, hostfield.ProcessRunQueueWait) - get(t, before, hostfield.ProcessRunQueueWait)
	one := (mainAfter - mainBefore) / 1e9
	t.Logf("%d spinning threads: all waited %v s, the main thread %v s", threads, all, one)
	// Each CPU runs one of four for 0.3 s, so the others wait 0.9 s.
	if want := 0.9 * float64(runtime.NumCPU()); all < want/4 {
		t.Errorf("waited %v s, want about %v", all, want)
	}
	if one > all/2 {
		t.Errorf("schedstat shows %v of %v s: is it no longer the main thread's?", one, all)
	}
}

// mainThread returns the number behind key, or the second number without one,
// from a file in /proc/self.
func mainThread(t *testing.T, file, key string) float64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc/self", file))
	if err != nil {
		t.Skip(err)
	}
	words := strings.Fields(string(text))
	for i, word := range words {
		if key == "" && i == 1 || key != "" && i > 0 && words[i-1] == key {
			v, err := strconv.ParseFloat(word, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %q in %s", key, file)
	return 0
}
