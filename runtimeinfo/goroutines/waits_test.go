// SPDX-License-Identifier: Apache-2.0

package goroutines_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// Each of these functions waits at the line with its name in a comment.

func waitSend(c chan<- int) {
	c <- 1 // waitSend
}

func waitReceive(c <-chan int) {
	<-c // waitReceive
}

func waitRange(c <-chan int) {
	for range c { // waitRange
	}
}

func waitNilSend() {
	c := none()
	c <- 1 // waitNilSend
}

func waitNilReceive() {
	c := none()
	<-c // waitNilReceive
}

func none() chan int { return nil }

func waitForever() {
	select {} // waitForever
}

func waitSelect(a, b <-chan int) {
	select { // waitSelect
	case <-a:
	case <-b:
	}
}

func waitReflectSelect(a, b <-chan int) {
	cases := []reflect.SelectCase{
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(a)},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(b)},
	}
	reflect.Select(cases) // waitReflectSelect
}

func waitContext(ctx context.Context) {
	<-ctx.Done() // waitContext
}

func waitTimer(timer *time.Timer) {
	<-timer.C // waitTimer
}

func waitSlot(slots chan struct{}) {
	slots <- struct{}{} // waitSlot
	<-slots
}

func waitMutex(mu *sync.Mutex) {
	mu.Lock() // waitMutex
	defer mu.Unlock()
}

func waitReadLock(mu *sync.RWMutex) {
	mu.RLock() // waitReadLock
	defer mu.RUnlock()
}

func waitWriteLock(mu *sync.RWMutex) {
	mu.Lock() // waitWriteLock
	defer mu.Unlock()
}

func waitSecondWriteLock(mu *sync.RWMutex) {
	mu.Lock() // waitSecondWriteLock
	defer mu.Unlock()
}

func waitGroup(wg *sync.WaitGroup) {
	wg.Wait() // waitGroup
}

func waitCond(c *sync.Cond) {
	c.L.Lock()
	defer c.L.Unlock()
	c.Wait() // waitCond
}

func waitOnce(once *sync.Once) {
	once.Do(func() {}) // waitOnce
}

func waitConn(c net.Conn) {
	c.Read(make([]byte, 1)) // waitConn
}

func waitBuffered(c net.Conn) {
	bufio.NewReader(c).ReadByte() // waitBuffered
}

func waitAccept(l net.Listener) {
	l.Accept() // waitAccept
}

func waitFile(f *os.File) {
	f.Read(make([]byte, 1)) // waitFile
}

func waitFileLock(f *os.File) {
	f.Read(make([]byte, 1)) // waitFileLock
}

func waitIOPipe(r *io.PipeReader) {
	r.Read(make([]byte, 1)) // waitIOPipe
}

func waitCSV(w io.Writer) {
	c := csv.NewWriter(w)
	c.Write([]string{strings.Repeat("a record longer than the buffer", 200)}) // waitCSV
}

func waitPrint(w io.Writer) {
	fmt.Fprintln(w, "order", 7) // waitPrint
}

func waitBinary(r io.Reader) {
	var header struct{ Length, Kind uint32 }
	binary.Read(r, binary.BigEndian, &header) // waitBinary
}

func waitSleep(stop *atomic.Bool) {
	for !stop.Load() {
		time.Sleep(50 * time.Millisecond) // waitSleep
	}
}

func waitYield(yield func(int) bool) {
	yield(1) // waitYield
}

func waitPull(seq iter.Seq[int]) {
	next, stop := iter.Pull(seq)
	defer stop()
	next() // waitPull
}

func waitGeneric[T any](c <-chan T) {
	<-c // waitGeneric
}

type waiter struct{ c chan int }

func (w *waiter) waitMethod() {
	<-w.c // waitMethod
}

func spin(stop *atomic.Bool) {
	for !stop.Load() {
	}
}

// scene starts goroutines that wait, and ends them with the test.
type scene struct {
	t    *testing.T
	held []func() // functions that end the waits
	done sync.WaitGroup
}

func (s *scene) start(f func(), release func()) {
	s.done.Go(f)
	s.held = append(s.held, release)
}

func (s *scene) end() {
	for _, release := range s.held {
		release()
	}
	s.done.Wait()
}

// wait is one way to wait and its expected result.
type wait struct {
	function string // unqualified
	class    goroutines.WaitClass
	reason   string // wait reason of the runtime; "" means the name of class
	endless  bool   // goroutines of earlier runs of the test wait too
}

func startChannels(s *scene) []wait {
	send, receive, generic := make(chan int), make(chan int), make(chan string)
	a, b := make(chan int), make(chan int)
	w := &waiter{make(chan int)}
	method := w.waitMethod
	slots := make(chan struct{}, 1)
	slots <- struct{}{}
	ctx, cancel := context.WithCancel(context.Background())
	timer := time.NewTimer(time.Hour)
	s.start(func() { waitSend(send) }, func() { <-send })
	s.start(func() { waitReceive(receive) }, func() { close(receive) })
	s.start(func() { waitRange(receive) }, func() {})
	s.start(func() { waitGeneric(generic) }, func() { close(generic) })
	s.start(func() { waitSelect(a, b) }, func() { close(a) })
	s.start(func() { waitReflectSelect(a, b) }, func() {})
	s.start(method, func() { close(w.c) })
	s.start(func() { waitSlot(slots) }, func() { <-slots })
	s.start(func() { waitContext(ctx) }, cancel)
	s.start(func() { waitTimer(timer) }, func() { timer.Reset(0) })
	go waitNilSend()    // these three wait
	go waitNilReceive() // until the process ends
	go waitForever()
	return []wait{
		{"waitSend", goroutines.ChanSend, "", false},
		{"waitReceive", goroutines.ChanReceive, "", false},
		{"waitRange", goroutines.ChanReceive, "", false},
		{"waitGeneric[go.shape.string]", goroutines.ChanReceive, "", false},
		{"waitSelect", goroutines.Select, "", false},
		{"waitReflectSelect", goroutines.Select, "", false},
		{"(*waiter).waitMethod", goroutines.ChanReceive, "", false},
		{"waitSlot", goroutines.ChanSend, "", false},
		{"waitContext", goroutines.ChanReceive, "", false},
		{"waitTimer", goroutines.ChanReceive, "", false},
		{"waitNilSend", goroutines.ChanSend, "chan send (nil chan)", true},
		{"waitNilReceive", goroutines.ChanReceive, "chan receive (nil chan)", true},
		{"waitForever", goroutines.SelectForever, "", true},
	}
}

func startLocks(s *scene) []wait {
	var mu sync.Mutex
	var read, write sync.RWMutex
	var wg sync.WaitGroup
	var lock sync.Mutex
	cond := sync.NewCond(&lock)
	mu.Lock()
	read.Lock()
	write.RLock()
	wg.Add(1)
	s.start(func() { waitMutex(&mu) }, mu.Unlock)
	s.start(func() { waitReadLock(&read) }, read.Unlock)
	s.start(func() { waitWriteLock(&write) }, write.RUnlock)
	s.start(func() { waitGroup(&wg) }, wg.Done)
	s.start(func() { waitCond(cond) }, func() {
		lock.Lock() // available once the goroutine waits
		defer lock.Unlock()
		cond.Signal()
	})

	// The second writer waits for the mutex within the RWMutex.
	var second sync.RWMutex
	second.Lock()
	s.start(func() { waitSecondWriteLock(&second) }, second.Unlock)

	// The second caller of a sync.Once waits for its mutex.
	var once sync.Once
	inside, leave := make(chan struct{}), make(chan struct{})
	s.start(func() { once.Do(func() { close(inside); <-leave }) }, func() { close(leave) })
	<-inside
	s.start(func() { waitOnce(&once) }, func() {})
	return []wait{
		{"waitMutex", goroutines.Mutex, "", false},
		{"waitReadLock", goroutines.RWMutexRead, "", false},
		{"waitWriteLock", goroutines.RWMutexWrite, "", false},
		{"waitSecondWriteLock", goroutines.Mutex, "", false},
		{"waitGroup", goroutines.WaitGroup, "", false},
		{"waitCond", goroutines.Cond, "", false},
		{"waitOnce", goroutines.Mutex, "", false},
	}
}

func startIO(s *scene) []wait {
	l := listen(s.t)
	near, far := connect(s.t, l)
	near2, far2 := connect(s.t, l)
	near3, far3 := connect(s.t, l)
	s.start(func() { waitConn(near) }, func() { far.Close(); near.Close() })
	s.start(func() { waitBuffered(near2) }, func() { far2.Close(); near2.Close() })
	s.start(func() { waitAccept(l) }, func() { l.Close() })
	pr, pw := io.Pipe()
	s.start(func() { waitIOPipe(pr) }, func() { pw.Close() })
	pr2, pw2 := io.Pipe()
	s.start(func() { waitCSV(pw2) }, func() { pr2.Close() })
	pr3, pw3 := io.Pipe()
	s.start(func() { waitPrint(pw3) }, func() { pr3.Close() })
	s.start(func() { waitBinary(near3) }, func() { far3.Close(); near3.Close() })
	return []wait{
		{"waitCSV", goroutines.Select, "", false},
		{"waitPrint", goroutines.Select, "", false},
		{"waitBinary", goroutines.IO, "", false},
		{"waitConn", goroutines.IO, "", false},
		{"waitBuffered", goroutines.IO, "", false},
		{"waitAccept", goroutines.IO, "", false},
		{"waitIOPipe", goroutines.Select, "", false},
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func connect(t *testing.T, l net.Listener) (near, far net.Conn) {
	t.Helper()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

func startOthers(s *scene) []wait {
	var stop atomic.Bool
	s.start(func() { waitSleep(&stop) }, func() { stop.Store(true) })

	next, end := iter.Pull(waitYield) // a coroutine waits for the next call
	next()
	s.held = append(s.held, end)

	hold := make(chan int) // and the caller waits for the coroutine
	s.start(func() { waitPull(func(func(int) bool) { <-hold }) }, func() { close(hold) })
	return []wait{
		{"waitSleep", goroutines.Sleep, "", false},
		{"waitYield", goroutines.Coroutine, "", false},
		{"waitPull", goroutines.Coroutine, "", false},
	}
}

// A survey reports the class and the line of each wait, and the runtime reports the same wait
// reason.
func TestSurveyOfLiveWaits(t *testing.T) {
	for name, start := range map[string]func(*scene) []wait{
		"channels": startChannels,
		"locks":    startLocks,
		"IO":       startIO,
		"files":    startFiles,
		"others":   startOthers,
	} {
		t.Run(name, func(t *testing.T) {
			s := &scene{t: t}
			waits := start(s)
			defer s.end()
			for _, w := range waits {
				t.Run(w.function, func(t *testing.T) { checkWait(t, w) })
			}
		})
	}
}

func checkWait(t *testing.T, w wait) {
	t.Helper()
	function := packagePath + w.function
	place := goroutines.Site{Function: function, Line: lineNamed(t, w.function)}
	testutil.Retry(t, func() error {
		g := groupAt(take(t), function)
		if g == nil {
			return fmt.Errorf("no group; want %v at %v", w.class, place)
		}
		site := g.Site
		file := filepath.Base(site.File)
		site.File = ""
		if g.Class != w.class || site != place || !strings.HasPrefix(file, "waits_") || g.Count != 1 && !w.endless {
			return fmt.Errorf("%v; want %v at %v", g, w.class, place)
		}
		return nil
	})
	want := w.reason
	if want == "" {
		want = w.class.String()
	}
	testutil.Retry(t, func() error {
		if reason := reasonOf(function); reason != want {
			return fmt.Errorf("the wait reason is %s, want %s", reason, want)
		}
		return nil
	})
}

const packagePath = "github.com/gmpulse/gmpulse/runtimeinfo/goroutines_test."

// lineNamed returns the number of the line that ends in a comment with the function's name.
func lineNamed(t *testing.T, function string) int {
	t.Helper()
	name, _, _ := strings.Cut(function, "[")
	name = name[strings.LastIndexByte(name, '.')+1:]
	files, err := filepath.Glob("waits_*test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(source), "\n") {
			if strings.HasSuffix(line, " // "+name) {
				return i + 1
			}
		}
	}
	t.Fatalf("no line names %s", name)
	return 0
}

// groupAt returns the largest group that waits in the function.
func groupAt(s *goroutines.Survey, function string) *goroutines.Group {
	for i := range s.Groups {
		if s.Groups[i].Class != goroutines.Running && s.Groups[i].Site.Function == function {
			return &s.Groups[i]
		}
	}
	return nil
}

// reasonOf returns the wait reason of the goroutine in the function.
func reasonOf(function string) string {
	if name, _, generic := strings.Cut(function, "["); generic {
		function = name + "[...]" // as in tracebacks
	}
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	header := regexp.MustCompile(`^goroutine \d+ \[([^],]+)`)
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		if !strings.Contains(g, "\n"+function+"(") {
			continue
		}
		if m := header.FindStringSubmatch(g); m != nil {
			return strings.TrimSuffix(m[1], " (leaked)") // Go 1.27 adds it after a leak profile
		}
	}
	return "nothing"
}

func take(t *testing.T) *goroutines.Survey {
	t.Helper()
	s, err := goroutines.NewSurveyor(goroutines.SurveyConfig{}).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The line of a running goroutine does not matter.
func TestRunningGoroutinesAreOneGroup(t *testing.T) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { spin(&stop) })
	}
	defer wg.Wait()
	defer stop.Store(true)
	entry := packagePath + "TestRunningGoroutinesAreOneGroup.func1"
	testutil.Eventually(t, "20 goroutines in one group", func() bool {
		n := 0
		for _, g := range take(t).Groups {
			if g.Entry == entry && g.Class == goroutines.Running && g.Site.Function == entry && g.Site.Line == 0 {
				n += g.Count
			}
		}
		return n == 20
	})
}

// Entry skips functions that start others, such as WaitGroup.Go.
func TestEntrySkipsLaunchers(t *testing.T) {
	c := make(chan int)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(c)
	go waitReceive(c)
	wg.Go(func() { waitReceive(c) })
	time.AfterFunc(0, func() { waitReceive(c) })
	next, stop := iter.Pull(func(yield func(int) bool) { yield(1) })
	defer stop()
	next()
	in := packagePath + "TestEntrySkipsLaunchers."
	want := map[string]goroutines.WaitClass{
		packagePath + "waitReceive": goroutines.ChanReceive, // go f(x)
		in + "func1":                goroutines.ChanReceive,
		in + "func2":                goroutines.ChanReceive,
		in + "func3":                goroutines.Coroutine,
	}
	testutil.Eventually(t, "every entry is present", func() bool {
		found := 0
		for _, g := range take(t).Groups {
			if class, ok := want[g.Entry]; ok && g.Class == class && g.Count == 1 {
				found++
			}
		}
		return found == len(want)
	})
}
