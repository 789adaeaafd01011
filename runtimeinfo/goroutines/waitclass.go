// SPDX-License-Identifier: Apache-2.0

package goroutines

import "strings"

// WaitClass is the kind of event that a goroutine waits for. The zero value is Running.
type WaitClass uint8

// The wait classes. They follow the wait reasons of the runtime. A profile does not contain
// these, so they are derived from the frames of the stack: a nil channel looks like any
// channel, and a goroutine that became runnable but has not run yet appears to wait.
const (
	Running       WaitClass = iota // running, or runnable
	ChanSend                       // also on a nil channel
	ChanReceive                    // also on a nil channel or a timer's channel
	Select                         // with at least two cases
	SelectForever                  // select {}
	Mutex                          // sync.Mutex; also the second writer of an RWMutex
	RWMutexRead
	RWMutexWrite
	WaitGroup
	Cond
	Semaphore // another semaphore of the runtime, such as the lock of a file descriptor
	IO        // the network poller: sockets, pipes
	Sleep     // time.Sleep
	Syscall   // in the kernel or in C
	Coroutine // either side of iter.Pull while the other runs
	Parked    // anything else, such as assisting the garbage collector
	numWaitClasses
)

// The wait families that rules name.
const (
	familyLock      = "lock" // mutexes
	familyWaitGroup = "wait group"
	familyOther     = "other"
)

// waitClass is the name of a class and a coarser class, one of ten: running, channel, select, lock,
// wait group, sync, IO, timer, syscall and other.
type waitClass struct{ name, family string }

// info returns the name and the family of c.
func (c WaitClass) info() waitClass {
	if c >= numWaitClasses {
		return waitClass{"unknown", familyOther}
	}
	return [numWaitClasses]waitClass{
		Running:       {"running", "running"},
		ChanSend:      {"chan send", "channel"},
		ChanReceive:   {"chan receive", "channel"},
		Select:        {"select", "select"},
		SelectForever: {"select (no cases)", "select"},
		Mutex:         {"sync.Mutex.Lock", familyLock},
		RWMutexRead:   {"sync.RWMutex.RLock", familyLock},
		RWMutexWrite:  {"sync.RWMutex.Lock", familyLock},
		WaitGroup:     {"sync.WaitGroup.Wait", familyWaitGroup},
		Cond:          {"sync.Cond.Wait", "sync"}, // as often idle as blocked
		Semaphore:     {"semaphore", "sync"},
		IO:            {"IO wait", "IO"},
		Sleep:         {"sleep", "timer"},
		Syscall:       {"syscall", "syscall"},
		Coroutine:     {"coroutine", familyOther},
		Parked:        {"parked", familyOther},
	}[c]
}

// String returns the wait reason as the runtime's tracebacks print it, if they have one.
func (c WaitClass) String() string { return c.info().name }

// family returns the coarser class.
func (c WaitClass) family() string { return c.info().family }

// waitClassOf returns the wait class of a stack, and the index of the frame that a reader
// looks for (see [Key]); -1 for an empty stack. It costs about 0.5 µs and does not allocate.
func waitClassOf(stack []Site) (class WaitClass, site int) {
	outside := len(stack) // first frame outside the runtime
	for i := range stack {
		f := stack[i].Function
		if !isCore(f) {
			outside = i
			break
		}
		if w := waitOf(f); supersedes(w, class) {
			class = w
		}
	}
	return class, siteIn(stack, outside)
}

// siteIn returns the index of the frame in which a goroutine waits: the first one outside
// the standard library and outside the packages of golang.org/x that only pass a wait on.
// Packages of the standard library that name what is waited for count too. If the whole
// stack is standard, it is the first frame outside the packages that every read and write
// goes through, or else the first outside the runtime, or else the last.
func siteIn(stack []Site, outside int) int {
	standard, named := -1, -1 // first frame of the standard library; first one that names a wait
	for i := outside; i < len(stack); i++ {
		f := stack[i].Function
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
	return min(outside, len(stack)-1)
}

// supersedes reports whether class w of a frame is more specific than the class of the
// frames nearer the leaf: every wait parks, most locks use a semaphore, and package syscall
// may take a lock.
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

// waitOf returns the wait class of one frame of the runtime, or Running.
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
	// Each system has its own names: Syscall, RawSyscall6, rawSyscallNoError, SyscallN.
	p := packageOf(function)
	if (p == "syscall" || strings.HasPrefix(p, "internal/runtime/syscall")) && strings.Contains(function[len(p):], "yscall") {
		return Syscall
	}
	return Running
}

// isCore reports whether a function belongs to the runtime or to packages built into it.
func isCore(function string) bool {
	switch p := packageOf(function); p {
	case "runtime", "sync", "sync/atomic", "syscall", "iter":
		return true
	default:
		return function == "time.Sleep" ||
			strings.HasPrefix(p, "internal/") ||
			strings.HasPrefix(p, "golang.org/x/sys/") ||
			strings.Contains(function, "._Cfunc_") // cgo's wrapper of a C function
	}
}

// isPlumbing reports whether every kind of read, write or call passes through a package of
// the standard library, so that its frames do not identify a wait.
func isPlumbing(path string) bool {
	switch path {
	case "net", "os", "io", "bufio", "bytes", "crypto/tls", "reflect": // bytes: a TLS connection reads into a Buffer
		return true
	default:
		return false
	}
}

// passesOn reports whether a package outside the standard library waits on behalf of its
// caller.
func passesOn(path string) bool {
	return strings.HasPrefix(path, "golang.org/x/") &&
		(strings.HasPrefix(path, "golang.org/x/sync/") || path == "golang.org/x/text/transform")
}

// namesWait reports whether the frames of a package of the standard library identify what
// is waited for: a response, a pooled connection, a child process, a subtest, the lock of a
// logger.
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

// isStandard reports whether an import path belongs to the standard library, judging by its
// first element: a module of the application may have a name without a dot ("casekit"). A
// module named like a directory of the standard library ("image") counts as standard.
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

// isLauncher reports whether a frame belongs to code that starts functions of others, below
// the entry of a goroutine.
func isLauncher(function string) bool {
	return isCore(function) || packageOf(function) == "golang.org/x/sync/errgroup"
}

// packageOf returns the import path of a function.
func packageOf(function string) string {
	name, _, _ := strings.Cut(function, "[") // type arguments contain paths too
	base := strings.LastIndexByte(name, '/') + 1
	if dot := strings.IndexByte(name[base:], '.'); dot >= 0 {
		return name[:base+dot]
	}
	return name
}
