// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"context"
	"database/sql"
	"encoding/csv"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// mistake starts goroutines that wait because of a mistake, and ends them.
type mistake struct {
	kind  Kind
	start func(t *testing.T) (end func())
	want  hintID
}

// mistakes returns mistakes with the standard library alone. Each starts goroutines in functions
// of this file.
func mistakes() map[string]mistake {
	return map[string]mistake{
		"send":        {Leak, wrongSend, "send"},
		"receive":     {Leak, wrongReceive, "receive"},
		"select":      {Leak, wrongSelect, "select"},
		"ticker":      {Leak, wrongTicker, "ticker"},
		"sleep":       {Leak, wrongSleep, "sleep"},
		"cond":        {Leak, wrongCond, "cond"},
		"wait group":  {Leak, wrongWaitGroup, "wait-group"},
		"lock":        {Stuck, wrongLock, "lock-holder"},
		"lock pair":   {Leak, wrongLockPair, "lock-pair"},
		"pipe, write": {Leak, wrongPipeWrite, "pipe-write"},
		"pipe, read":  {Leak, wrongPipeRead, "pipe-read"},
		"peer":        {Leak, wrongPeer, "peer"},
		"upstream":    {Stuck, wrongUpstream, "upstream"},
		"sql pool":    {Stuck, wrongPool, "sql-pool"},
	}
}

const waiters = 12 // of the expected group

// many starts goroutines and returns a function that waits for them.
func many(f func()) (wait func()) {
	var wg sync.WaitGroup
	for range waiters {
		wg.Go(f)
	}
	return wg.Wait
}

func wrongSend(*testing.T) func() {
	c := make(chan int)
	wait := many(func() { c <- 1 })
	return func() {
		for range waiters {
			<-c
		}
		wait()
	}
}

func wrongReceive(*testing.T) func() {
	c := make(chan int)
	wait := many(func() { <-c })
	return func() { close(c); wait() }
}

func wrongSelect(t *testing.T) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := make(chan int)
	wait := many(func() {
		select {
		case <-c:
		case <-ctx.Done():
		}
	})
	return func() { cancel(); wait() }
}

func wrongTicker(*testing.T) func() {
	stop := make(chan time.Time)
	wait := many(func() { loopOverTicks(stop) })
	return func() { close(stop); wait() }
}

func loopOverTicks(c <-chan time.Time) {
	for range c {
	}
}

func wrongSleep(*testing.T) func() { return many(func() { time.Sleep(3 * time.Second) }) }

func wrongCond(*testing.T) func() {
	var mu sync.Mutex
	c, done := sync.NewCond(&mu), false
	wait := many(func() {
		mu.Lock()
		defer mu.Unlock()
		for !done {
			c.Wait()
		}
	})
	return func() {
		mu.Lock()
		done = true
		mu.Unlock()
		c.Broadcast()
		wait()
	}
}

func wrongWaitGroup(*testing.T) func() {
	var wg sync.WaitGroup
	wg.Add(1)
	wait := many(func() { wg.Wait() })
	return func() { wg.Done(); wait() }
}

// store is locked by each buy; the first one holds the lock while it waits.
type store struct {
	mu   sync.Mutex
	stop chan struct{}
}

func (s *store) buy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	<-s.stop
}

func wrongLock(*testing.T) func() {
	s := &store{stop: make(chan struct{})}
	var wg sync.WaitGroup
	for range waiters + 1 {
		wg.Go(s.buy)
	}
	return func() { close(s.stop); wg.Wait() }
}

// flusher deadlocks like an old version of zap's BufferedWriteSyncer: Stop holds the lock that the
// loop needs while it waits for the loop.
type flusher struct {
	mu   sync.Mutex
	done chan struct{}
}

func (f *flusher) Stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	go f.loop()
	<-f.done
}

func (f *flusher) loop() {
	f.mu.Lock()
	defer f.mu.Unlock()
}

func wrongLockPair(*testing.T) func() {
	stop := make(chan struct{})
	wait := many(func() { (&flusher{done: stop}).Stop() })
	return func() { close(stop); wait() }
}

func wrongPipeWrite(*testing.T) func() {
	stop := make(chan struct{})
	wait := many(func() {
		r, w := io.Pipe()
		go func() { <-stop; r.Close() }()
		c := csv.NewWriter(w)
		_ = c.Write([]string{strings.Repeat("order,", 2000)})
	})
	return func() { close(stop); wait() }
}

func wrongPipeRead(*testing.T) func() {
	r, w := io.Pipe()
	wait := many(func() { _, _ = io.ReadAll(r) })
	return func() { w.Close(); wait() }
}

func wrongPeer(t *testing.T) func() {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	wait := many(func() {
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			go func() { <-stop; c.Close() }()
			_, _ = io.ReadFull(c, make([]byte, 8))
		}
	})
	return func() { close(stop); wait(); l.Close() }
}

func wrongUpstream(*testing.T) func() {
	stop := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	wait := many(func() {
		if resp, err := srv.Client().Get(srv.URL); err == nil {
			resp.Body.Close()
		}
	})
	return func() { close(stop); wait(); srv.Close() }
}

func wrongPool(*testing.T) func() {
	d := stuckDriver{make(chan struct{})}
	db := sql.OpenDB(d)
	db.SetMaxOpenConns(1)
	var wg sync.WaitGroup
	for range waiters + 1 {
		wg.Go(func() {
			if rows, err := db.QueryContext(context.Background(), "select 1"); err == nil {
				_ = rows.Err()
				rows.Close()
			}
		})
	}
	return func() { close(d.stop); wg.Wait(); db.Close() }
}

// Surveys of live goroutines lead to the right hint and to a line of this file.
func TestHintsForLiveGoroutines(t *testing.T) {
	p := newProgram()
	h := newHints(p)
	for name, c := range mistakes() {
		t.Run(name, func(t *testing.T) {
			defer c.start(t)()
			surveyor := NewSurveyor(SurveyConfig{})
			var got []string
			for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
				s, err := surveyor.Take(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got = nil
				for i := range s.Groups {
					g := &s.Groups[i]
					where := p.where(g.Stack, nil)
					if g.Count != waiters || !strings.HasSuffix(where.File, "/hintlive_test.go") {
						continue
					}
					hint := h.hint(hintInput{kind: c.kind, survey: s, groups: []*Group{g}, where: where})
					if text, _, _ := strings.Cut(textOf(c.want), "{"); strings.HasPrefix(hint, text) {
						return
					}
					got = append(got, g.String()+": "+hint)
				}
			}
			t.Errorf("want the hint %q, got %q", c.want, got)
		})
	}
}
