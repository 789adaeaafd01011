// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/hostfield"
)

func write(t *testing.T, content string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func copyTree(t *testing.T, tree string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS(filepath.Join("testdata", tree))); err != nil {
		t.Fatal(err)
	}
	return root
}

func get(t *testing.T, s *host.Sample, f hostfield.Field) float64 {
	t.Helper()
	v, ok := s.Get(f)
	if !ok {
		t.Fatalf("field %d is absent", f)
	}
	return v
}

func absent(t *testing.T, s *host.Sample, f hostfield.Field) {
	t.Helper()
	if v, ok := s.Get(f); ok {
		t.Errorf("field %d is %v, want it absent", f, v)
	}
}

func TestMoveToAnotherGroupIsNoticed(t *testing.T) {
	root := copyTree(t, "k8s-host")
	r := newReader(t, root)
	if got := get(t, r.Read(t.Context()), hostfield.CgroupCPUQuota); got != 3.5 {
		t.Fatalf("quota %v, want 3.5", got)
	}
	write(t, "0::/system.slice/other.service\n", root, "proc/self/cgroup")
	write(t, "70000 100000\n", root, "sys/fs/cgroup/system.slice/other.service/cpu.max")
	for range 10 { // it need not look on every pass
		if v, _ := r.Read(t.Context()).Get(hostfield.CgroupCPUQuota); v == 0.7 {
			return
		}
	}
	t.Error("ten passes did not notice the move")
}

func TestLimitChangeIsNoticedAtOnce(t *testing.T) {
	root := copyTree(t, "k8s-namespace")
	r := newReader(t, root)
	r.Read(t.Context())
	write(t, "max 100000\n", root, "sys/fs/cgroup/cpu.max")
	write(t, "max\n", root, "sys/fs/cgroup/memory.max")
	s := r.Read(t.Context())
	absent(t, s, hostfield.CgroupCPUQuota)
	absent(t, s, hostfield.CPUUsable) // the tree has no affinity mask
	absent(t, s, hostfield.CgroupMemoryMax)
}

func TestOnlySixtyFourGroupsAreRead(t *testing.T) {
	root := t.TempDir()
	var path strings.Builder
	for i := range 100 {
		fmt.Fprintf(&path, "/level%d", i)
	}
	write(t, "0::"+path.String()+"\n", root, "proc/self/cgroup")
	write(t, "31 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", root, "proc/self/mountinfo")
	write(t, "300000 100000\n", root, "sys/fs/cgroup", path.String(), "cpu.max")
	write(t, "200000 100000\n", root, "sys/fs/cgroup", path.String(), "../../../cpu.max")
	write(t, "100000 100000\n", root, "sys/fs/cgroup/level0/cpu.max") // 99 levels up: not looked at
	if got := get(t, newReader(t, root).Read(t.Context()), hostfield.CgroupCPUQuota); got != 2 {
		t.Errorf("quota %v, want 2", got)
	}
}

// A pass leaves no descriptor open.
func TestNoDescriptorStaysOpen(t *testing.T) {
	r := newReader(t, "/")
	r.Read(t.Context()) // the first one may make the runtime open some
	before := descriptors(t)
	for range 3 {
		r.Read(t.Context())
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// descriptors counts the open descriptors of this process, including the one of the count.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

func TestRunQueueWaitAddsUp(t *testing.T) {
	root := t.TempDir()
	task := filepath.Join(root, "proc/self/task")
	r := newReader(t, root)
	wait := func(tid int, ns string) { write(t, "1 "+ns+" 1\n", task, strconv.Itoa(tid), "schedstat") }
	expect := func(want float64) {
		t.Helper()
		if got := get(t, r.Read(t.Context()), hostfield.ProcessRunQueueWait); math.Abs(got-want) > 1e-9 {
			t.Errorf("wait %v, want %v", got, want)
		}
	}
	wait(1, "1000000000")
	wait(2, "2000000000")
	expect(3)
	wait(1, "1500000000")
	wait(3, "250000000") // new
	expect(3.75)
	if err := os.RemoveAll(filepath.Join(task, "2")); err != nil {
		t.Fatal(err)
	}
	expect(3.75) // what the dead thread waited remains
	wait(3, "100000000")
	expect(3.85) // its number went to another thread

	for tid := 100; tid < 400; tid++ {
		wait(tid, "0")
	}
	absent(t, r.Read(t.Context()), hostfield.ProcessRunQueueWait)
	for tid := 100; tid < 400; tid++ {
		if err := os.RemoveAll(filepath.Join(task, strconv.Itoa(tid))); err != nil {
			t.Fatal(err)
		}
	}
	wait(1, "1600000000")
	expect(3.95)
}

func TestManyDescriptorsAreAbsent(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 16,385 links")
	}
	root := t.TempDir()
	r := newReader(t, root)
	fd := filepath.Join(root, "proc/self/fd")
	if err := os.MkdirAll(fd, 0o755); err != nil {
		t.Fatal(err)
	}
	grow := func(from, to int) {
		for n := from; n < to; n++ {
			if err := os.Symlink("/dev/null", filepath.Join(fd, strconv.Itoa(n))); err != nil {
				t.Fatal(err)
			}
		}
	}
	grow(0, 10000)
	if got := get(t, r.Read(t.Context()), hostfield.ProcessFDs); got != 10000 {
		t.Errorf("%v descriptors, want 10000", got)
	}
	grow(10000, 16385)
	absent(t, r.Read(t.Context()), hostfield.ProcessFDs)
}

func TestOnlyChangesAreLogged(t *testing.T) {
	root := copyTree(t, "v2-systemd")
	whole, err := os.ReadFile(filepath.Join(root, "proc/net/dev"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r := host.NewReader(host.Config{Root: root, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	lines := func() int { return strings.Count(log.String(), "\n") }

	r.Read(t.Context())
	if lines() != 0 {
		t.Fatalf("logged in good health: %s", &log)
	}
	write(t, "Inter-|\n", root, "proc/net/dev") // gopsutil panics
	for range 3 {
		s := r.Read(t.Context())
		absent(t, s, hostfield.SystemNetworkReceiveBytes)
		if got := get(t, s, hostfield.SystemLoad1); got != 0.5 {
			t.Errorf("load %v, want 0.5: one source spoils another", got)
		}
	}
	if lines() != 1 || !strings.Contains(log.String(), "source=system.network") || r.Failures() != 3 {
		t.Errorf("%d failures, log: %s", r.Failures(), &log)
	}
	write(t, string(whole), root, "proc/net/dev")
	r.Read(t.Context())
	r.Read(t.Context())
	if lines() != 2 || !strings.Contains(log.String(), "works again") || r.Failures() != 3 {
		t.Errorf("%d failures, log: %s", r.Failures(), &log)
	}
	if err := os.Remove(filepath.Join(root, "proc/net/dev")); err != nil {
		t.Fatal(err)
	}
	absent(t, r.Read(t.Context()), hostfield.SystemNetworkReceiveBytes)
	if lines() != 2 || r.Failures() != 3 {
		t.Errorf("a missing file is no failure: %d failures, log: %s", r.Failures(), &log)
	}
}
