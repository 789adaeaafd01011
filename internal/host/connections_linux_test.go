// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gmpulse/gmpulse/internal/host"
)

const enough = 100_000

// count counts the connections.
func count(t testing.TB) host.Connections {
	t.Helper()
	c, err := host.CountConnections(enough)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// expect compares the change of the connections since before.
func expect(t *testing.T, before, want host.Connections) {
	t.Helper()
	got := count(t)
	got.Accepted -= before.Accepted
	got.Dialed -= before.Dialed
	got.Listening -= before.Listening
	if got != want {
		t.Errorf("%+v more than before, want %+v", got, want)
	}
}

// listen listens until the end of the test.
func listen(t testing.TB, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// connect dials address and accepts at l. Both ends are closed at the end of the test.
func connect(t testing.TB, l net.Listener, network, address string) (dialed, accepted net.Conn) {
	t.Helper()
	dialed, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close() })
	accepted, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return dialed, accepted
}

func TestConnectionsByDirection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, c := range []struct{ network, listen, dial string }{ // dial: empty for the listener's own address
		{"tcp4", "127.0.0.1:0", ""},
		{"tcp4", "0.0.0.0:0", "127.0.0.1"},
		{"tcp4", "0.0.0.0:0", "127.9.9.9"},
		{"tcp6", "[::1]:0", ""},
		{"tcp", ":0", "127.0.0.1"}, // an IPv4 connection of an IPv6 listener
		{"tcp", ":0", "[::1]"},
		{"unix", path, ""},
		{"unixpacket", path + "p", ""},
		{"unix", "@gmpulse-" + t.Name(), ""},
	} {
		t.Run(c.network+" "+c.listen+" "+c.dial, func(t *testing.T) {
			before := count(t)
			l := listen(t, c.network, c.listen)
			address := l.Addr().String()
			if c.dial != "" {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					t.Fatal(err)
				}
				address = c.dial + ":" + port
			}
			connect(t, l, c.network, address)
			connect(t, l, c.network, address)
			expect(t, before, host.Connections{Accepted: 2, Dialed: 2, Listening: 1})
		})
	}
}

// An accepted connection counts as dialed once its listener is closed.
func TestConnectionsOfAClosedListener(t *testing.T) {
	before := count(t)
	kept, closed := listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0")
	connect(t, kept, "tcp", kept.Addr().String())
	connect(t, closed, "tcp", closed.Addr().String())
	closed.Close()
	expect(t, before, host.Connections{Accepted: 1, Dialed: 3, Listening: 1})
}

// A connection from the port of a listener on another address is not an accepted one.
func TestConnectionsFromAPortOfAListener(t *testing.T) {
	before := count(t)
	server := listen(t, "tcp4", "127.0.0.1:0")
	other := listen(t, "tcp4", "127.0.0.2:0")
	port := other.Addr().(*net.TCPAddr).Port
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 3), Port: port}}
	dialed, err := d.DialContext(t.Context(), "tcp4", server.Addr().String())
	if err != nil {
		t.Skip(err)
	}
	defer dialed.Close()
	accepted, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	expect(t, before, host.Connections{Accepted: 1, Dialed: 1, Listening: 2})
}

func TestConnectionsWithoutPeers(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6", "unix"} {
		for how, leave := range map[string]func(net.Conn){
			"closed": func(c net.Conn) { c.Close() },
			"reset": func(c net.Conn) {
				if tcp, ok := c.(*net.TCPConn); ok {
					tcp.SetLinger(0)
				}
				c.Close()
			},
			"ended in both directions": func(c net.Conn) {
				c.(interface{ CloseWrite() error }).CloseWrite()
			},
		} {
			t.Run(network+" "+how, func(t *testing.T) {
				before := count(t)
				address := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": filepath.Join(t.TempDir(), "s")}[network]
				l := listen(t, network, address)
				dialed, accepted := connect(t, l, network, l.Addr().String())
				leave(dialed)
				if _, err := io.ReadAll(accepted); err != nil && how == "closed" {
					t.Error(err)
				}
				want := host.Connections{Accepted: 1, Listening: 1}
				if how == "ended in both directions" {
					accepted.(interface{ CloseWrite() error }).CloseWrite()
					io.ReadAll(dialed)
					want.Dialed = 1
				}
				expect(t, before, want)
			})
		}
	}
}

// When the backlog is full, further connections wait to be established.
func TestConnectionsBeingEstablished(t *testing.T) {
	before := count(t)
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	expect(t, before, host.Connections{}) // bound, but neither a listener nor a connection
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 { // one or two find room
		c, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(c)
		if err := syscall.Connect(c, name); err != nil && err != syscall.EINPROGRESS {
			t.Fatal(err)
		}
	}
	expect(t, before, host.Connections{Dialed: 4, Listening: 1})
}

func TestNotConnections(t *testing.T) {
	before := count(t)
	l := listen(t, "tcp", "127.0.0.1:0")
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	connected, err := net.Dial("udp", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	datagrams, err := net.ListenPacket("unixgram", filepath.Join(t.TempDir(), "d"))
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pair[0])
	defer syscall.Close(pair[1])
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	idle, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(idle)
	connect(t, l, "tcp", l.Addr().String())
	expect(t, before, host.Connections{Accepted: 1, Dialed: 1, Listening: 1})
}

// many opens n connections from this process to itself: 2n descriptors.
func many(t testing.TB, n int) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(2*n+100) {
		t.Skipf("%d open files are allowed: %v", limit.Cur, err)
	}
	l := listen(t, "tcp", "127.0.0.1:0")
	for range n {
		connect(t, l, "tcp", l.Addr().String())
	}
}

func TestThousandConnections(t *testing.T) {
	before := count(t)
	many(t, 1000)
	expect(t, before, host.Connections{Accepted: 1000, Dialed: 1000, Listening: 1})

	if _, err := host.CountConnections(2000); err == nil || !strings.Contains(err.Error(), "more than 2000") {
		t.Errorf("2,001 sockets and a limit of 2,000: error %v", err)
	}
	if _, err := host.CountConnections(10); err == nil || !strings.Contains(err.Error(), "entries") {
		t.Errorf("a table of more than 2,000 entries and a limit of 10: error %v", err)
	}
	const allowed = 40 // 2,000 endpoints in a slices that grow, the survey, a map
	if n := testing.AllocsPerRun(10, func() { count(t) }); n > allowed {
		t.Errorf("%v allocations for 2,000 connections, want at most %d", n, allowed)
	}
}

// Descriptors come and go while they are counted.
func TestConnectionsWhileTheyChange(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	l := listen(t, "tcp", "127.0.0.1:0")
	done := make(chan error, 1)
	var begun atomic.Int64
	go func() {
		for ctx.Err() == nil {
			begun.Add(1)
			dialed, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				done <- err
				return
			}
			accepted, err := l.Accept()
			dialed.Close()
			if err != nil {
				done <- err
				return
			}
			accepted.Close()
		}
		done <- nil
	}()
	for range 200 {
		before := begun.Load()
		c := count(t)
		// One connection is open at a time. Those that follow it during the call may count as well.
		if most := int(begun.Load() - before + 1); c.Listening < 1 || c.Accepted > most || c.Dialed > most {
			t.Errorf("%+v, at most %d connections", c, most)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// cpuTime returns the CPU time of this process in nanoseconds, which the other
// programs on the machine change less than the time that passes.
func cpuTime(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// The figure of the documentation is the last one's cpu-ns/descriptor.
func BenchmarkCountConnections(b *testing.B) {
	for _, n := range []int{0, 100, 1000, 5000} {
		b.Run(fmt.Sprintf("descriptors=%d", 2*n), func(b *testing.B) {
			many(b, n)
			b.ReportAllocs()
			began := cpuTime(b)
			for b.Loop() {
				count(b)
			}
			spent := cpuTime(b) - began
			if n > 0 {
				b.ReportMetric(spent/float64(b.N)/float64(2*n), "cpu-ns/descriptor")
			}
		})
	}
}

func ExampleCountConnections() {
	c, err := host.CountConnections(10_000)
	if err != nil {
		fmt.Println(err) // not Linux, or more than 10,000 open descriptors
		return
	}
	fmt.Println(c.Dialed >= 0)
	// Output: true
}
