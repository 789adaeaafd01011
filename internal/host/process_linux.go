// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// ownSources returns the sources of process, control group and pressure.
func ownSources(root string) []source {
	self := filepath.Join(root, "proc/self")
	p := &process{dir: self, live: root == "/", wait: runQueue{dir: filepath.Join(self, "task")}, affinity: math.NaN()}
	c := &cgroup{root: root, quota: math.NaN()}
	return []source{
		{name: "process.stat", read: p.readStat},
		{name: "process.rusage", read: p.readUsage},
		{name: "process.status", read: p.readStatus},
		{name: "process.limits", read: p.readLimits},
		{name: "process.io", read: p.readIO},
		{name: "process.fd", read: p.readFDs},
		{name: "process.schedstat", read: p.wait.read},
		{name: "cgroup.paths", read: c.resolve},
		{name: "cgroup.cpu", read: c.readCPU},
		{name: "cgroup.memory", read: c.readMemory},
		{name: "cgroup.pressure", read: c.readPressure},
		{name: "system.pressure", read: func(_ context.Context, s *Sample) (err error) {
			readSystemPressure(directory{filepath.Join(root, "proc/pressure"), &err}, s)
			return err
		}},
		// Last: it uses the affinity mask and the quota of this pass.
		{name: "cpu.usable", read: func(_ context.Context, s *Sample) error {
			put(s, hostfield.CPUUsable, least(p.affinity, c.quota))
			return nil
		}},
	}
}

// process reads /proc/self, which is this process in every container and mount of /proc.
type process struct {
	dir      string
	live     bool // dir is of this process, not of a recorded tree
	wait     runQueue
	affinity float64 // CPUs in the affinity mask, in the current pass
}

func (p *process) readStat(_ context.Context, s *Sample) error {
	text, err := read(p.dir, "stat")
	if err != nil {
		return err
	}
	threads, virtual, rss, ok := parseStat(text)
	if !ok {
		return errMalformed
	}
	put(s, hostfield.ProcessThreads, threads)
	put(s, hostfield.ProcessMemoryVirtual, virtual)
	put(s, hostfield.ProcessMemoryRSS, rss*float64(os.Getpagesize()))
	return nil
}

// readUsage calls getrusage: CPU times in stat are in steps of 10 ms, and the context switches
// in status are of the main thread only.
func (p *process) readUsage(_ context.Context, s *Sample) error {
	if !p.live {
		return nil
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return err
	}
	put(s, hostfield.ProcessCPUUser, float64(u.Utime.Nano())/1e9)
	put(s, hostfield.ProcessCPUSystem, float64(u.Stime.Nano())/1e9)
	put(s, hostfield.ProcessFaultsMinor, float64(u.Minflt))
	put(s, hostfield.ProcessFaultsMajor, float64(u.Majflt))
	put(s, hostfield.ProcessContextSwitchesVoluntary, float64(u.Nvcsw))
	put(s, hostfield.ProcessContextSwitchesInvoluntary, float64(u.Nivcsw))
	return nil
}

// readStatus reads the affinity mask of the main thread. The kernel keeps it within the cpuset
// of the control group. runtime.NumCPU is the mask at the start of the program.
func (p *process) readStatus(context.Context, *Sample) error {
	p.affinity = math.NaN()
	if p.live {
		p.affinity = float64(runtime.NumCPU())
	}
	text, err := read(p.dir, "status")
	if err != nil {
		return err
	}
	n := countList(keyedWord(text, "Cpus_allowed_list:"))
	if math.IsNaN(n) {
		return errMalformed
	}
	p.affinity = n
	return nil
}

func (p *process) readLimits(_ context.Context, s *Sample) error {
	text, err := read(p.dir, "limits")
	if err != nil {
		return err
	}
	soft := keyedWord(text, "Max open files")
	if string(soft) == "unlimited" {
		return nil
	}
	n := parseCount(soft)
	if math.IsNaN(n) {
		return errMalformed
	}
	put(s, hostfield.ProcessFDLimit, n)
	return nil
}

func (p *process) readIO(_ context.Context, s *Sample) error {
	text, err := read(p.dir, "io")
	if err != nil {
		return err
	}
	put(s, hostfield.ProcessDiskRead, keyed(text, "read_bytes:"))
	put(s, hostfield.ProcessDiskWrite, keyed(text, "write_bytes:"))
	return nil
}

// maxFDs limits how many entries of /proc/self/fd are listed on kernels before 6.2, which
// takes some milliseconds. With more open files the value is absent there.
const maxFDs = 16384

// readFDs counts the open descriptors of the process. Since Linux 6.2 the number is the size of
// the directory.
func (p *process) readFDs(_ context.Context, s *Sample) error {
	path := filepath.Join(p.dir, "fd")
	if info, err := os.Stat(path); err == nil && p.live && info.Size() > 0 {
		put(s, hostfield.ProcessFDs, float64(info.Size()))
		return nil
	}
	names, err := readNames(path, maxFDs+1)
	if err == nil && len(names) <= maxFDs {
		put(s, hostfield.ProcessFDs, float64(len(names)))
	}
	return err
}

// parseStat parses /proc/self/stat: virtual is in bytes, rss in pages. The name in parentheses may
// contain parentheses and spaces.
func parseStat(text []byte) (threads, virtual, rss float64, ok bool) {
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	const first, last = 3, 24 // of the field after the name and of the RSS in proc_pid_stat(5)
	if end < 0 || len(fields) <= last-first {
		return 0, 0, 0, false
	}
	at := func(n int) float64 { return parseCount(fields[n-first]) }
	threads = at(20)
	return threads, at(23), at(last), threads > 0 // a malformed line has another value there
}

// countList counts the numbers in a list like "0-3,8".
func countList(list []byte) float64 {
	const maxCPU = 1 << 16
	n := 0.0
	for part := range bytes.SplitSeq(list, []byte(",")) {
		from, to, isRange := bytes.Cut(part, []byte("-"))
		if !isRange {
			to = from
		}
		lo, hi := parseCount(from), parseCount(to)
		if !(lo <= hi && hi < maxCPU) { // also if either is NaN
			return math.NaN()
		}
		n += hi - lo + 1
	}
	return n
}
