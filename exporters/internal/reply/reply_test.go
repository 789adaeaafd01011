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

// stuck is a client that accepts nothing until the deadline of the write.
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

// send sends size bytes to a client that takes none and reports how the write ended.
func send(b *reply.Budget, size int, ended chan<- error) {
	a := b.Open(newStuck(), size)
	if a == nil {
		ended <- errors.New("refused")
		return
	}
	defer a.Close()
	_, err := a.Write(make([]byte, size))
	ended <- err
}

func TestAStuckClientIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := reply.NewBudget(1000)
		ended := make(chan error, 1)
		began := time.Now()
		send(b, 100, ended)
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v, want a timeout after 10 s", err, time.Since(began))
		}
		if b.Held() != 0 {
			t.Errorf("%d bytes are held afterwards", b.Held())
		}
	})
}

func TestSlowClientsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := reply.NewBudget(1000)
		ended := make(chan error, 400)
		for range 400 {
			go send(b, 100, ended)
		}
		synctest.Wait()
		if len(ended) != 390 || b.Held() != 1000 {
			t.Errorf("%d of 400 were refused and %d bytes are held; want 390 and 1000", len(ended), b.Held())
		}
		if b.Open(httptest.NewRecorder(), 100) != nil || !b.Full() {
			t.Error("there is room for another within the time that everybody has")
		}
		time.Sleep(3 * time.Second)
		w := httptest.NewRecorder()
		a := b.Open(w, 250)
		if a == nil {
			t.Fatal("a client is refused after 3 s, though others are slow")
		}
		if _, err := a.Write(make([]byte, 250)); err != nil || w.Body.Len() != 250 {
			t.Errorf("it is sent %d bytes: %v", w.Body.Len(), err)
		}
		a.Close()
		synctest.Wait()
		if len(ended) != 393 || b.Held() != 700 {
			t.Errorf("%d have ended and %d bytes are held; want 3 cut and 700", len(ended), b.Held())
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(ended) != 400 || b.Held() != 0 {
			t.Errorf("%d have ended and %d bytes are held after 13 s", len(ended), b.Held())
		}
	})
}

// noDeadline is a framework's writer, which knows no deadlines.
type noDeadline struct{ *httptest.ResponseRecorder }

func TestACutAnswerIsWrittenNoFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := reply.NewBudget(100)
		w := noDeadline{httptest.NewRecorder()}
		a := b.Open(w, 100)
		time.Sleep(3 * time.Second)
		if b.Full() {
			t.Error("there is no room, though the only answer is slow")
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, reply.ErrCut) || w.Body.Len() != 0 {
			t.Errorf("a cut answer is written on: %v", err)
		}
		a.Close()
		if b.Held() != 0 {
			t.Errorf("%d bytes are held after both a cut and a Close", b.Held())
		}
	})
}

func TestALargeAnswerIsSentAlone(t *testing.T) {
	b := reply.NewBudget(10)
	a := b.Open(httptest.NewRecorder(), 100)
	if a == nil {
		t.Fatal("refused")
	}
	if !b.Full() {
		t.Error("there is room beside it")
	}
	a.Close()
}
