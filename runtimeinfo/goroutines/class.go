// SPDX-License-Identifier: Apache-2.0

package goroutines

import "strings"

// WaitClass says what a goroutine waits for. The zero value is Running.
type WaitClass uint8

// The wait classes. They follow the wait reasons of the runtime, which no
// profile carries, as far as the frames of a stack show them: a nil channel
// looks like any channel, and a goroutine whose wait is over but which has not
// run since looks as if it still waited.
const (
	Running       WaitClass = iota // running, or runnable and not yet on a processor
	ChanSend                       // also on a nil channel
	ChanReceive                    // also on a nil channel, and on a timer's
	Select                         // of at least two cases
	SelectForever                  // select {}
	Mutex                          // sync.Mutex; also the second writer of an RWMutex
	RWMutexRead
	RWMutexWrite
	WaitGroup
	Cond
	Semaphore // a semaphore of the runtime that is none of the above, such as a descriptor's lock
	IO        // the network poller: sockets, pipes
	Sleep     // time.Sleep
	Syscall   // in the kernel, or in C
	Coroutine // either side of iter.Pull while the other runs
	Parked    // anything else, such as helping the garbage collector
	numWaitClasses
)

// String returns the words of the runtime's tracebacks, where it has some.
func (c WaitClass) String() string {
	if c >= numWaitClasses {
		return "unknown"
	}
	return [numWaitClasses]string{
		Running:       "running",
		ChanSend:      "chan send",
		ChanReceive:   "chan receive",
		Select:        "select",
		SelectForever: "select (no cases)",
		Mutex:         "sync.Mutex.Lock",
		RWMutexRead:   "sync.RWMutex.RLock",
		RWMutexWrite:  "sync.RWMutex.Lock",
		WaitGroup:     "sync.WaitGroup.Wait",
		Cond:          "sync.Cond.Wait",
		Semaphore:     "semaphore",
		IO:            "IO wait",
		Sleep:         "sleep",
		Syscall:       "syscall",
		Coroutine:     "coroutine",
		Parked:        "parked",
	}[c]
}

// Family is a coarser class, few enough for one panel of a dashboard.
type Family string

// The families.
const (
	FamilyRunning   Family = "running"
	FamilyChannel   Family = "channel"
	FamilySelect    Family = "select"
	FamilyLock      Family = "lock"       // mutexes
	FamilyWaitGroup Family = "wait group" // wait groups
	FamilySync      Family = "sync"       // condition variables and semaphores: idle as often as blocked
	FamilyIO        Family = "IO"
	FamilyTimer     Family = "timer" // time.Sleep; a timer's channel is a channel
	FamilySyscall   Family = "syscall"
	FamilyOther     Family = "other"
)

// Family returns the family of c.
func (c WaitClass) Family() Family {
	if c >= numWaitClasses {
		return FamilyOther
	}
	return [numWaitClasses]Family{
		Running:       FamilyRunning,
		ChanSend:      FamilyChannel,
		ChanReceive:   FamilyChannel,
		Select:        FamilySelect,
		SelectForever: FamilySelect,
		Mutex:         FamilyLock,
		RWMutexRead:   FamilyLock,
		RWMutexWrite:  FamilyLock,
		WaitGroup:     FamilyWaitGroup,
		Cond:          FamilySync,
		Semaphore:     FamilySync,
		IO:            FamilyIO,
		Sleep:         FamilyTimer,
		Syscall:       FamilySyscall,
		Coroutine:     FamilyOther,
		Parked:        FamilyOther,
	}[c]
}

// Classify returns what the goroutine with this stack waits for, and the index of
// the frame that made it wait: the first frame outside the standard library and
// outside the packages of golang.org/x that pass a read, a write or a wait on,
// such as errgroup. Frames of net/http, database/sql and the few other packages
// of the standard library that name what is waited for count as such a frame.
// So two readers of connections are told apart, and a write through encoding/csv
// into a pipe is where the application writes. Where the whole stack is the
// standard library's, site is the first frame outside the packages that every
// read and write goes through (net, io, bufio and the like), or else the first
// outside the runtime, or else the last; -1 for an empty stack. The functions are
// fully qualified names, leaf first. Classify costs about 0.5 µs and allocates
// nothing.
func Classify(functions []string) (class WaitClass, site int) {
	outside := len(functions) // of the runtime
	for i, f := range functions {
		if !isCore(f) {
			outside = i
			break
		}
		if w := waitOf(f); supersedes(w, class) {
			class = w
		}
	}
	return class, siteIn(functions, outside)
}

// siteIn returns the index of the frame that made a goroutine wait. The frames
// before outside are the runtime's.
func siteIn(functions []string, outside int) int {
	standard, named := -1, -1 // the first of the standard library, and the first that names a wait
	for i := outside; i < len(functions); i++ {
		f := functions[i]
		p := packageOf(f)
		switch {
		case isCore(f) || passesOn(p):
		case !isStandard(p):
			if named >= 0 {
				return named
			}
			return i
		case namesWait(p):
			if standard < 0 {
				return i
			}
			if named < 0 {
				named = i
			}
		case standard < 0 && !isPlumbing(p):
			standard = i
		}
	}
	if standard >= 0 {
		return standard
	}
	return min(outside, len(functions)-1)
}

// supersedes tells whether a frame that shows class w says more than was, what
// the frames nearer the leaf showed: every wait parks, most locks are made of
// semaphores, and a function of package syscall may take a lock first.
func supersedes(w, was WaitClass) bool {
	switch was {
	case Running:
		return true
	case Parked:
		return w != Running && w != Syscall
	case Semaphore:
		return w != Running && w != Syscall && w != Parked
	default:
		return false
	}
}

// waitOf returns what a frame of the runtime shows; Running when nothing.
func waitOf(function string) WaitClass {
	switch function {
	case "runtime.chansend", "runtime.chansend1":
		return ChanSend
	case "runtime.chanrecv", "runtime.chanrecv1", "runtime.chanrecv2":
		return ChanReceive
	case "runtime.selectgo":
		return Select
	case "runtime.block":
		return SelectForever
	case "internal/sync.runtime_SemacquireMutex":
		return Mutex
	case "sync.runtime_SemacquireRWMutexR":
		return RWMutexRead
	case "sync.runtime_SemacquireRWMutex":
		return RWMutexWrite
	case "sync.runtime_SemacquireWaitGroup":
		return WaitGroup
	case "sync.runtime_notifyListWait":
		return Cond
	case "runtime.semacquire", "runtime.semacquire1":
		return Semaphore
	case "runtime.netpollblock", "internal/poll.runtime_pollWait", "internal/poll.runtime_pollWaitCanceled":
		return IO
	case "time.Sleep":
		return Sleep
	case "runtime.coroswitch":
		return Coroutine
	case "runtime.cgocall", "runtime.notetsleepg":
		return Syscall
	case "runtime.gopark", "runtime.goparkunlock":
		return Parked
	}
	return syscallOf(function)
}

// syscallOf goes by the name, of which every system has its own set: Syscall,
// RawSyscall6, rawSyscallNoError, SyscallN, syscall6X.
func syscallOf(function string) WaitClass {
	p := packageOf(function)
	if p != "syscall" && !strings.HasPrefix(p, "internal/runtime/syscall") {
		return Running
	}
	if strings.Contains(function[len(p):], "yscall") {
		return Syscall
	}
	return Running
}

// isCore tells a frame in which a goroutine waits without having asked for it
// by name: of the runtime and of what is built into it.
func isCore(function string) bool {
	switch p := packageOf(function); p {
	case "runtime", "sync", "sync/atomic", "syscall", "iter":
		return true
	default:
		return function == "time.Sleep" ||
			strings.HasPrefix(p, "internal/") ||
			strings.HasPrefix(p, "golang.org/x/sys/") ||
			strings.Contains(function, "._Cfunc_") // what cgo writes around a C function
	}
}

// isPlumbing reports whether a package of the standard library passes every
// kind of read, write and call on: that a goroutine waits in net.(*netFD).Read
// says nothing of who reads.
func isPlumbing(path string) bool {
	switch path {
	case "net", "os", "io", "bufio", "bytes", "crypto/tls", "reflect": // bytes: a TLS connection reads into a Buffer
		return true
	default:
		return false
	}
}

// passesOn reports whether a package outside the standard library only passes a
// wait on, so that its caller is who waits.
func passesOn(path string) bool {
	return strings.HasPrefix(path, "golang.org/x/") &&
		(strings.HasPrefix(path, "golang.org/x/sync/") || path == "golang.org/x/text/transform")
}

// namesWait reports whether the frames of a package of the standard library say
// what is waited for: a response, a connection from a pool, a child process, a
// subtest, the lock of a logger.
func namesWait(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	switch first {
	case "context", "log", "testing":
		return true
	case "net":
		return path == "net/rpc" || path == "net/http" || strings.HasPrefix(path, "net/http/")
	default:
		return path == "database/sql" || path == "os/exec"
	}
}

// isStandard reports whether an import path is one of the standard library. It
// goes by the first element: a module of the application may be named without a
// dot too ("casekit"). A module that is named as a directory of the standard
// library ("image") is taken for a part of it.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	switch first {
	case "archive", "arena", "bufio", "builtin", "bytes", "cmp", "compress", "container", "context", "crypto",
		"database", "debug", "embed", "encoding", "errors", "expvar", "flag", "fmt", "go", "hash", "html", "image",
		"index", "internal", "io", "iter", "log", "maps", "math", "mime", "net", "os", "path", "plugin", "reflect",
		"regexp", "runtime", "simd", "slices", "sort", "strconv", "strings", "structs", "sync", "syscall", "testing",
		"text", "time", "unicode", "unique", "unsafe", "uuid", "vendor", "weak":
		return true
	default:
		return false
	}
}

// isLauncher tells the frames below the function that somebody wrote to be
// run on its own.
func isLauncher(function string) bool {
	return isCore(function) || packageOf(function) == "golang.org/x/sync/errgroup"
}

// packageOf returns the import path in front of a function's name.
func packageOf(function string) string {
	name, _, _ := strings.Cut(function, "[") // type arguments have paths too
	base := strings.LastIndexByte(name, '/') + 1
	if dot := strings.IndexByte(name[base:], '.'); dot >= 0 {
		return name[:base+dot]
	}
	return name
}
