// SPDX-License-Identifier: Apache-2.0

package reply_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters/internal/reply"
)

// stuck is a client that accepts no data until the write deadline.
type stuck struct {
	httptest.ResponseRecorder
	mu       sync.Mutex
	deadline time.Time
	changed  chan struct{}
}

func newStuck() *stuck { return &stuck{changed: make(chan struct{}, 8)} }

func (s *stuck) Header() http.Header { return http.Header{} }

func (s *stuck) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	s.deadline = t
	s.mu.Unlock()
	s.changed <- struct{}{}
	return nil
}

func (s *stuck) Write([]byte) (int, error) {
	for {
		s.mu.Lock()
		wait := time.Until(s.deadline)
		s.mu.Unlock()
		if wait <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		select {
		case <-time.After(wait):
		case <-s.changed:
		}
	}
}

// send sends size bytes to a stuck client and reports the error of the write.
func send(b *reply.Budget, size int, ended chan<- error) {
	a := b.Open(newStuck(), size)
	if a == nil {
		ended <- errors.New("no room")
		return
	}
	defer a.Close()
	_, err := a.Write(make([]byte, size))
	ended <- err
}

func TestWriteToAStuckClientTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := reply.NewBudget(1000)
		ended := make(chan error, 1)
		began := time.Now()
		send(b, 100, ended)
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v, want a timeout after 10 s", err, time.Since(began))
		}
		if b.Held() != 0 {
			t.Errorf("%d bytes are reserved afterwards", b.Held())
		}
	})
}

func TestSlowResponsesAreAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := reply.NewBudget(1000)
		ended := make(chan error, 400)
		for range 400 {
			go send(b, 100, ended)
		}
		synctest.Wait()
		if len(ended) != 390 || b.Held() != 1000 {
			t.Errorf("%d of 400 were rejected and %d bytes are reserved; want 390 and 1000", len(ended), b.Held())
		}
		if b.Open(httptest.NewRecorder(), 100) != nil || !b.Full() {
			t.Error("there is room for another response before 3 s")
		}
		time.Sleep(3 * time.Second)
		w := httptest.NewRecorder()
		a := b.Open(w, 250)
		if a == nil {
			t.Fatal("no room after 3 s")
		}
		if _, err := a.Write(make([]byte, 250)); err != nil || w.Body.Len() != 250 {
			t.Errorf("%d bytes were sent: %v", w.Body.Len(), err)
		}
		a.Close()
		synctest.Wait()
		if len(ended) != 393 || b.Held() != 700 {
			t.Errorf("%d have ended and %d bytes are reserved; want 3 aborted and 700", len(ended), b.Held())
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(ended) != 400 || b.Held() != 0 {
			t.Errorf("%d have ended and %d bytes are reserved after 13 s", len(ended), b.Held())
		}
	})
}

// noDeadline is a ResponseWriter without support for deadlines.
type noDeadline struct{ *httptest.ResponseRecorder }

func TestWriteAfterAnAbortFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := reply.NewBudget(100)
		w := noDeadline{httptest.NewRecorder()}
		a := b.Open(w, 100)
		time.Sleep(3 * time.Second)
		if b.Full() {
			t.Error("a slow response was not aborted")
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, reply.ErrAborted) || w.Body.Len() != 0 {
			t.Errorf("Write after the abort: %v", err)
		}
		a.Close()
		if b.Held() != 0 {
			t.Errorf("%d bytes are reserved after the abort and Close", b.Held())
		}
	})
}

func TestLargeResponseIsSentAlone(t *testing.T) {
	b := reply.NewBudget(10)
	a := b.Open(httptest.NewRecorder(), 100)
	if a == nil {
		t.Fatal("no room for a large response")
	}
	if !b.Full() {
		t.Error("there is room for another response")
	}
	a.Close()
}
