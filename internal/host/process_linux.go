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
func ownSources(root string) ([]source, func() error) {
	f := new(files)
	p := newProcess(root, f)
	c := newCgroup(root, f)
	pressure := newDirectory(f, root, "proc", "pressure")
	sources := []source{
		{name: "process.stat", read: p.readStat},
		{name: "process.rusage", read: p.readUsage},
		{name: "process.status", read: p.readStatus},
		{name: "process.limits", read: p.readLimits},
		{name: "process.io", read: p.readIO},
		{name: "process.fd", read: p.fds.read},
		{name: "process.schedstat", read: p.wait.read},
		{name: "cgroup.paths", read: c.resolve},
		{name: "cgroup.cpu", read: c.readCPU},
		{name: "cgroup.memory", read: c.readMemory},
		{name: "cgroup.pressure", read: c.readPressure},
		{name: "system.pressure", read: func(_ context.Context, s *Sample) error {
			return readSystemPressure(pressure, s)
		}},
		// Last: it uses the affinity mask and the quota of this pass.
		{name: "cpu.usable", read: func(_ context.Context, s *Sample) error {
			put(s, hostfield.CPUUsable, least(p.affinity, c.quota))
			return nil
		}},
	}
	return sources, func() error {
		c.close()
		pressure.close()
		return p.close()
	}
}

// process reads /proc/self, which is this process in every container and mount of /proc.
type process struct {
	dir      *directory
	live     bool // dir is not a recorded tree, so system calls return the same values, more exactly
	fds      *fdCount
	wait     *runQueue
	affinity float64 // CPUs in the affinity mask, in the current pass
}

func newProcess(root string, f *files) *process {
	self := filepath.Join(root, "proc", "self")
	live := root == "/" || isProcfs(self)
	return &process{
		dir:      newDirectory(f, self),
		live:     live,
		fds:      &fdCount{path: filepath.Join(self, "fd"), live: live},
		wait:     newRunQueue(filepath.Join(self, "task"), f),
		affinity: math.NaN(),
	}
}

func (p *process) close() error {
	p.dir.close()
	return p.fds.close()
}

// isProcfs reports whether path is in a proc file system.
func isProcfs(path string) bool {
	const procSuperMagic = 0x9fa0
	var st syscall.Statfs_t
	return syscall.Statfs(path, &st) == nil && st.Type == procSuperMagic
}

func (p *process) readStat(_ context.Context, s *Sample) error {
	text, err := p.dir.read("stat")
	if err != nil {
		return err
	}
	st, ok := parseStat(text)
	if !ok {
		return errMalformed
	}
	put(s, hostfield.ProcessThreads, st.threads)
	put(s, hostfield.ProcessMemoryVirtual, st.virtual)
	put(s, hostfield.ProcessMemoryRSS, st.rssPages*float64(os.Getpagesize()))
	if !p.live {
		const ticks = 100 // USER_HZ, the same on every architecture that Go supports
		put(s, hostfield.ProcessCPUUser, st.user/ticks)
		put(s, hostfield.ProcessCPUSystem, st.system/ticks)
		put(s, hostfield.ProcessFaultsMinor, st.minor)
		put(s, hostfield.ProcessFaultsMajor, st.major)
	}
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
func (p *process) readStatus(_ context.Context, s *Sample) error {
	p.affinity = math.NaN()
	if p.live {
		p.affinity = float64(runtime.NumCPU())
	}
	text, err := p.dir.read("status")
	if err != nil {
		return err
	}
	if !p.live {
		put(s, hostfield.ProcessContextSwitchesVoluntary, keyed(text, "voluntary_ctxt_switches:"))
		put(s, hostfield.ProcessContextSwitchesInvoluntary, keyed(text, "nonvoluntary_ctxt_switches:"))
	}
	n := countList(keyedWord(text, "Cpus_allowed_list:"))
	if math.IsNaN(n) {
		return errMalformed
	}
	p.affinity = n
	return nil
}

func (p *process) readLimits(_ context.Context, s *Sample) error {
	text, err := p.dir.read("limits")
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
	text, err := p.dir.read("io")
	if err != nil {
		return err
	}
	put(s, hostfield.ProcessDiskRead, keyed(text, "read_bytes:"))
	put(s, hostfield.ProcessDiskWrite, keyed(text, "write_bytes:"))
	return nil
}

// statLine has some fields of /proc/self/stat, see proc_pid_stat(5).
type statLine struct {
	minor, major float64 // faults
	user, system float64 // ticks
	threads      float64
	virtual      float64 // bytes
	rssPages     float64
}

// parseStat parses /proc/self/stat. The name in parentheses may contain parentheses and
// spaces.
func parseStat(text []byte) (st statLine, ok bool) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return statLine{}, false
	}
	rest := text[end+1:]
	const first, last = 3, 24 // the manual page's numbers of the field after the name and of the RSS
	var fields [last + 1][]byte
	for i := first; i <= last; i++ {
		if fields[i], rest = nextWord(rest); len(fields[i]) == 0 {
			return statLine{}, false
		}
	}
	at := func(n int) float64 { return parseCount(fields[n]) }
	st = statLine{
		minor: at(10), major: at(12),
		user: at(14), system: at(15),
		threads: at(20), virtual: at(23), rssPages: at(last),
	}
	return st, st.threads > 0 // a malformed line has another value there
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
