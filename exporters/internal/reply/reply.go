// SPDX-License-Identifier: Apache-2.0

// Package reply sends HTTP answers that are complete in memory. It bounds how many
// bytes wait for slow clients and how long a client may take none of them.
package reply

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	// writeTimeout is how long a client may accept no data before its connection fails.
	writeTimeout = 10 * time.Second
	// chunk is how much one write, and so one deadline, covers.
	chunk = 64 << 10
	// patience is how long an answer may take before it gives way to a new one that
	// needs its room.
	patience = 3 * time.Second
)

// ErrCut is the error of writes to a client that was too slow while others waited.
var ErrCut = errors.New("the client is too slow and others need the room")

// Writer writes with a deadline for each part of the data, whatever the timeouts of
// the server are. Frameworks that know no deadlines, such as Fiber, keep their own.
type Writer struct {
	http.ResponseWriter
	Control *http.ResponseController
}

// NewWriter returns a Writer for w.
func NewWriter(w http.ResponseWriter) Writer {
	return Writer{w, http.NewResponseController(w)}
}

// Write writes b. It fails when the client accepts nothing for 10 seconds.
func (w Writer) Write(b []byte) (n int, err error) {
	return w.write(b, func() error {
		_ = w.Control.SetWriteDeadline(time.Now().Add(writeTimeout)) // where unsupported the server's holds
		return nil
	})
}

func (w Writer) write(b []byte, before func() error) (n int, err error) {
	for len(b) > 0 {
		if err := before(); err != nil {
			return n, err
		}
		m, err := w.ResponseWriter.Write(b[:min(len(b), chunk)])
		n += m
		if err != nil {
			return n, err
		}
		b = b[m:]
	}
	return n, nil
}

// Budget bounds the bytes of all answers that are being sent. Make one with
// [NewBudget]. Any number of goroutines may use it.
type Budget struct {
	max int

	mu      sync.Mutex
	held    int
	sending []*Answer // oldest first
}

// NewBudget returns a Budget of so many bytes. A single answer may be larger.
func NewBudget(bytes int) *Budget { return &Budget{max: bytes} }

// Answer is one answer that is being sent. Close it when it has been.
type Answer struct {
	Writer
	budget *Budget
	size   int
	began  time.Time
	gone   bool // cut, or closed
}

// Open reserves room for an answer of size bytes. Where there is none, answers that
// take longer than 3 seconds are cut, the oldest first; where that is not enough, Open
// returns nil.
func (b *Budget) Open(w http.ResponseWriter, size int) *Answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.makeRoom(size) {
		return nil
	}
	a := &Answer{Writer: NewWriter(w), budget: b, size: size, began: time.Now()}
	b.held += size
	b.sending = append(b.sending, a)
	return a
}

// Full reports whether there is no room for even a small answer, so that it need not
// be rendered.
func (b *Budget) Full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.makeRoom(1)
}

// Held returns how many bytes are being sent.
func (b *Budget) Held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// makeRoom cuts as many old answers as size needs. b is locked.
func (b *Budget) makeRoom(size int) bool {
	now := time.Now()
	for b.held > 0 && b.held+size > b.max {
		if now.Sub(b.sending[0].began) < patience {
			return false
		}
		b.cut(b.sending[0], now)
	}
	return true
}

// cut fails the writes of the oldest answer. b is locked, so the answer is not closed
// and its ResponseWriter is in use.
func (b *Budget) cut(a *Answer, now time.Time) {
	b.release(a)
	_ = a.Control.SetWriteDeadline(now) // where unsupported the next write fails
}

// release gives the room of a back. b is locked.
func (b *Budget) release(a *Answer) {
	if a.gone {
		return
	}
	a.gone = true
	b.held -= a.size
	for i := range b.sending {
		if b.sending[i] == a {
			b.sending = append(b.sending[:i], b.sending[i+1:]...)
			return
		}
	}
}

// Write writes p as [Writer.Write] does. It returns [ErrCut] once the answer was cut.
func (a *Answer) Write(p []byte) (int, error) { return a.write(p, a.extend) }

// extend gives the client time for the next part.
func (a *Answer) extend() error {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	if a.gone {
		return ErrCut
	}
	_ = a.Control.SetWriteDeadline(time.Now().Add(writeTimeout)) // where unsupported the server's holds
	return nil
}

// Close gives the room of the answer back.
func (a *Answer) Close() {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	a.budget.release(a)
}
