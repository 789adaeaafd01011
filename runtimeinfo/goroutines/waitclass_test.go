// SPDX-License-Identifier: Apache-2.0

package goroutines_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// Stacks that do not occur on every system. waits_test.go tests live goroutines.
func TestWaitClassOf(t *testing.T) {
	tests := map[string]struct {
		stack string // leaf first
		class goroutines.WaitClass
		site  int
	}{
		"cgo":                     {"runtime.cgocall main._Cfunc_sleep main.nap main.main runtime.main", goroutines.Syscall, 2},
		"signal.Notify":           {"runtime.notetsleepg os/signal.signal_recv os/signal.loop", goroutines.Syscall, 1},
		"read, Linux":             {"internal/runtime/syscall/linux.Syscall6 syscall.RawSyscall6 syscall.Syscall syscall.read syscall.Read main.f", goroutines.Syscall, 5},
		"read, Darwin":            {"syscall.syscall syscall.read syscall.Read internal/poll.ignoringEINTRIO internal/poll.(*FD).Read os.(*File).read os.(*File).Read main.f", goroutines.Syscall, 7},
		"DLL, Windows":            {"runtime.cgocall syscall.SyscallN syscall.(*Proc).Call main.f", goroutines.Syscall, 3},
		"x/sys":                   {"syscall.Syscall golang.org/x/sys/unix.Read main.f", goroutines.Syscall, 2},
		"lock of package syscall": {"runtime.gopark runtime.goparkunlock runtime.semacquire1 sync.runtime_SemacquireRWMutex sync.(*RWMutex).Lock syscall.forkExec syscall.StartProcess os.startProcess os.StartProcess os/exec.(*Cmd).Start main.f", goroutines.RWMutexWrite, 9},
		"no system call":          {"syscall.Getenv os.Getenv main.f", goroutines.Running, 2},
		"GC assist":               {"runtime.gopark runtime.goparkunlock runtime.gcParkAssist runtime.gcAssistAlloc runtime.mallocgc runtime.newobject main.f", goroutines.Parked, 6},
		"GC assist in a call":     {"runtime.gopark runtime.gcParkAssist runtime.mallocgc syscall.SyscallN main.f", goroutines.Parked, 4},
		"TLS connection":          {"runtime.gopark runtime.netpollblock internal/poll.runtime_pollWait internal/poll.(*pollDesc).wait internal/poll.(*FD).Read net.(*netFD).Read net.(*conn).Read crypto/tls.(*atLeastReader).Read bytes.(*Buffer).ReadFrom crypto/tls.(*Conn).readFromUntil crypto/tls.(*Conn).Read main.f", goroutines.IO, 11},
		"singleflight":            {"runtime.gopark runtime.goparkunlock runtime.semacquire1 sync.runtime_SemacquireWaitGroup sync.(*WaitGroup).Wait golang.org/x/sync/singleflight.(*Group).Do main.f", goroutines.WaitGroup, 6},
		"accept":                  {"runtime.gopark runtime.netpollblock internal/poll.runtime_pollWait internal/poll.(*FD).Accept net.(*netFD).accept net.(*TCPListener).Accept net/http.(*Server).Serve main.f", goroutines.IO, 6},
		"plumbing to the end":     {"runtime.gopark runtime.selectgo net.(*netFD).connect.func2", goroutines.Select, 2},
		"database/sql":            {"runtime.gopark runtime.selectgo database/sql.(*DB).conn database/sql.(*DB).query main.f", goroutines.Select, 2},
		"no dot in the module":    {"runtime.gopark runtime.selectgo io.(*pipe).write bufio.(*Writer).Flush encoding/csv.(*Writer).Flush casekit.export casekit.main", goroutines.Select, 5},
		"errgroup at its limit":   {"runtime.gopark runtime.chansend runtime.chansend1 golang.org/x/sync/errgroup.(*Group).Go main.report", goroutines.ChanSend, 4},
		"transform":               {"runtime.gopark runtime.selectgo io.(*pipe).read golang.org/x/text/transform.(*Reader).Read bufio.(*Scanner).Scan main.f", goroutines.Select, 5},
		"logger":                  {"runtime.gopark runtime.semacquire1 internal/sync.runtime_SemacquireMutex internal/sync.(*Mutex).lockSlow sync.(*Mutex).Lock log.(*Logger).output log.Printf main.f", goroutines.Mutex, 5},
		"response of an upstream": {"runtime.gopark runtime.selectgo net/http.(*persistConn).roundTrip net/http.(*Transport).roundTrip net/http.(*Client).Do main.f net/http.HandlerFunc.ServeHTTP net/http.(*conn).serve", goroutines.Select, 2},
		"reply into a response":   {"runtime.gopark runtime.netpollblock internal/poll.runtime_pollWait net.(*conn).Write net/http.checkConnErrorWriter.Write bufio.(*Writer).Flush net/http.(*response).write fmt.Fprintf main.f net/http.(*conn).serve", goroutines.IO, 4},
		"decoder of a response":   {"runtime.gopark runtime.selectgo io.(*pipe).read encoding/json.(*Decoder).refill encoding/json.(*Decoder).Decode net/http/httputil.f main.f", goroutines.Select, 5},
		"standard handler":        {"runtime.gopark runtime.selectgo expvar.f net/http.HandlerFunc.ServeHTTP net/http.serverHandler.ServeHTTP net/http.(*conn).serve", goroutines.Select, 2},
		"context":                 {"runtime.gopark runtime.selectgo context.(*cancelCtx).propagateCancel.func2", goroutines.Select, 2},
		"nested wait":             {"runtime.gopark runtime.chanrecv runtime.chanrecv1 main.f runtime.selectgo", goroutines.ChanReceive, 3},
		"preempted":               {"runtime.asyncPreempt main.f", goroutines.Running, 1},
		"not started":             {"main.main.gowrap1", goroutines.Running, 0},
		"runtime to the end":      {"runtime.gopark runtime.runFinalizers", goroutines.Parked, 1},
		"type arguments":          {"runtime.gopark runtime.chansend runtime.chansend1 main.F[example.com/sync.T].func1", goroutines.ChanSend, 3},
		"not package sync":        {"runtime.gopark runtime.chansend runtime.chansend1 example.com/sync.(*T).put", goroutines.ChanSend, 3},
		"empty":                   {"", goroutines.Running, -1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			class, site := goroutines.WaitClassOf(goroutines.Frames(tt.stack))
			if class != tt.class || site != tt.site {
				t.Errorf("got %v at frame %d, want %v at frame %d", class, site, tt.class, tt.site)
			}
		})
	}
}

// isStandard knows all directories of the standard library, including those that a new Go release
// adds.
func TestStandardLibraryIsKnown(t *testing.T) {
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("no go command:", err)
	}
	entries, err := os.ReadDir(filepath.Join(strings.TrimSpace(string(root)), "src"))
	if err != nil {
		t.Skip("no standard library:", err)
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "cmd" || e.Name() == "testdata" { // neither is linked into a program
			continue
		}
		stack := goroutines.Frames("runtime.gopark " + e.Name() + "/part.F example.com/shop.main")
		if _, site := goroutines.WaitClassOf(stack); site == 1 && !slices.Contains([]string{"context", "log", "testing"}, e.Name()) {
			t.Errorf("%s is not known as the standard library", e.Name())
		}
	}
}

func TestClassNames(t *testing.T) {
	seen := map[string]bool{}
	for c := goroutines.Running; c <= goroutines.Parked; c++ {
		if c.String() == "" || seen[c.String()] {
			t.Errorf("class %d has the name %q", c, c)
		}
		if c.Family() == "" {
			t.Errorf("%v has no family", c)
		}
		seen[c.String()] = true
	}
	beyond := goroutines.Parked + 1
	if beyond.String() != "unknown" || beyond.Family() != "other" {
		t.Errorf("after the last class: %v, %v", beyond, beyond.Family())
	}
}

func TestWaitClassOfDoesNotAllocate(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	stack := goroutines.Frames("runtime.gopark runtime.netpollblock internal/poll.runtime_pollWait net.(*conn).Read main.f")
	if n := testing.AllocsPerRun(100, func() { goroutines.WaitClassOf(stack) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzWaitClassOf(f *testing.F) {
	f.Add("runtime.gopark runtime.chanrecv main.f")
	f.Add("")
	f.Add(" . [ ]. /.[/")
	f.Add("internal/runtime/syscall syscall. golang.org/x/sys/")
	f.Fuzz(func(t *testing.T, stack string) {
		var functions []goroutines.Site
		for f := range strings.SplitSeq(stack, " ") {
			if stack != "" {
				functions = append(functions, goroutines.Site{Function: f})
			}
		}
		class, site := goroutines.WaitClassOf(functions)
		if class > goroutines.Parked {
			t.Errorf("class %d", class)
		}
		if site >= len(functions) || site < 0 && len(functions) > 0 {
			t.Errorf("frame %d of %d", site, len(functions))
		}
	})
}

func BenchmarkWaitClassOf(b *testing.B) {
	stack := goroutines.Frames("runtime.gopark runtime.netpollblock internal/poll.runtime_pollWait internal/poll.(*pollDesc).wait " +
		"internal/poll.(*FD).Read net.(*netFD).Read net.(*conn).Read bufio.(*Reader).fill net/http.(*persistConn).readLoop")
	b.ReportAllocs()
	for b.Loop() {
		goroutines.WaitClassOf(stack)
	}
}

func TestKeyString(t *testing.T) {
	k := goroutines.Key{
		Class: goroutines.ChanSend,
		Site:  goroutines.Site{Function: "shop.(*Cart).notify", File: "/src/shop/cart.go", Line: 88},
		Entry: "shop.serve",
	}
	if got, want := k.String(), "chan send at shop.(*Cart).notify (cart.go:88) of shop.serve"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	k.Site.Line, k.Entry = 0, ""
	if got, want := k.String(), "chan send at shop.(*Cart).notify (cart.go)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
