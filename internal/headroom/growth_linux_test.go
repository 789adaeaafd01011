// SPDX-License-Identifier: Apache-2.0

package headroom_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	childVariable  = "HEADROOM_CHILD" // kind of goroutines
	testGoroutines = 5000
)

// kinds starts a number of goroutines, which never end.
var kinds = map[string]func(n int){
	"depth 3":   deep(3),
	"depth 30":  deep(30),
	"depth 60":  deep(60),
	"depth 125": deep(125),
	"depth 400": deep(400), // the runtime records 128 frames
	// Every goroutine has labels of its own, so that the profile has as many samples.
	"labelled, depth 5":   labelled(5),
	"labelled, depth 30":  labelled(30),
	"labelled, depth 125": labelled(125),
	"idle connections":    connections,
}

// The size of a stack does not tell its depth: idle connections have 8 KB and 8 frames. The first
// estimate for them is high. The profile that is taken nevertheless corrects it.
func TestGoroutinesIsAtLeastTheGrowth(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector needs memory too")
	}
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			m := runChild(t, kind)
			n := int64(m.Goroutines)
			t.Logf("per goroutine: estimate %d, profile %d, then estimate %d; parsing: estimate %d, growth %d; text: estimate %d, growth %d",
				m.Estimate/n, m.Profile/n, m.Again/n, m.ParseEstimate/n, m.Parse/n, m.TextEstimate/n, m.Text/n)
			for what, x := range map[string][2]int64{
				"profile": {m.Profile, m.Estimate}, "next profile": {m.Profile, m.Again},
				"parsing": {m.Parse, m.ParseEstimate}, "text": {m.Text, m.TextEstimate},
			} {
				if x[0] > x[1] {
					t.Errorf("%s: takes %d bytes for a goroutine, the estimate is %d", what, x[0]/n, x[1]/n)
				}
			}
			if most := int64(7 << 10); m.Estimate > most*n {
				t.Errorf("the first estimate is %d bytes for a goroutine, want at most %d", m.Estimate/n, most)
			}
			if most := max(4*m.Profile, 1280*n); m.Again > most {
				t.Errorf("after a profile that took %d bytes for a goroutine the estimate is %d, want at most %d", m.Profile/n, m.Again/n, most/n)
			}
		})
	}
}

// measured is what the child reports, in bytes.
type measured struct {
	Goroutines                               int
	Estimate, Profile, Again                 int64
	ParseEstimate, Parse, TextEstimate, Text int64
}

func TestMain(m *testing.M) {
	if kind := os.Getenv(childVariable); kind != "" {
		if err := measure(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func runChild(t *testing.T, kind string) (m measured) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), childVariable+"="+kind)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	return m
}

// measure prints estimates and the growth of the resident memory. Without the collector the growth
// does not depend on when it runs.
func measure(kind string) error {
	debug.SetGCPercent(-1)
	kinds[kind](testGoroutines)
	m := measured{Goroutines: runtime.NumGoroutine()}
	m.Estimate = headroom.Goroutines(m.Goroutines)
	var b bytes.Buffer
	var err error
	if m.Profile, err = growth(func() error { return profiles.Write(&b, "goroutine", false) }); err != nil {
		return err
	}
	m.Again = headroom.Goroutines(m.Goroutines)
	m.ParseEstimate = headroom.Parsing(profiles.Size(b.Bytes()))
	if m.Parse, err = growth(func() error {
		_, err := goroutines.ParseSurvey(b.Bytes(), goroutines.SurveyConfig{})
		return err
	}); err != nil {
		return err
	}
	m.TextEstimate = headroom.Text(m.Goroutines)
	if m.Text, err = growth(func() error { return profiles.Write(io.Discard, "goroutine", true) }); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

// growth returns by how much f raises the largest resident memory so far.
func growth(f func() error) (int64, error) {
	before := highWater()
	err := f()
	return highWater() - before, err
}

func highWater() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		panic(err)
	}
	return n << 10
}

// deep returns a function that starts goroutines with so many frames.
func deep(frames int) func(int) {
	return func(n int) {
		ready := make(chan struct{})
		for range n {
			go descend(frames-3, ready) // with gopark and runtime.chanrecv
			<-ready
		}
	}
}

// descend has the smallest frames that a function with parameters has.
//
//go:noinline
func descend(more int, ready chan struct{}) {
	if more > 0 {
		descend(more-1, ready)
		return
	}
	ready <- struct{}{}
	<-make(chan struct{})
}

func labelled(frames int) func(int) {
	return func(n int) {
		ready := make(chan struct{})
		for i := range n {
			labels := pprof.Labels("gmpulse_root", "GET /api/v1/orders/{id}", "gmpulse_epoch", strconv.Itoa(1_700_000_000_000+i))
			go pprof.Do(context.Background(), labels, func(context.Context) { descend(frames-5, ready) })
			<-ready
		}
	}
}

// connections starts a server with n idle connections, each of which has one goroutine.
func connections(n int) {
	accepted := make(pipes)
	go func() {
		_ = http.Serve(accepted, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { //nolint:gosec // without network
			w.WriteHeader(http.StatusNoContent)
		}))
	}()
	for range n {
		client, server := net.Pipe()
		accepted <- server
		_, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
		_, _ = client.Read(make([]byte, 512))
	}
}

// pipes is a listener whose connections are sent to it.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) { return <-p, nil }
func (pipes) Close() error                { return nil }
func (pipes) Addr() net.Addr              { return &net.TCPAddr{} }
