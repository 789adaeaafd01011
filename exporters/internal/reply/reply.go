// SPDX-License-Identifier: Apache-2.0

// Package reply sends HTTP responses that are complete in memory. It bounds the bytes that
// wait for slow clients, and the time for which a client may accept no data.
package reply

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// writeTimeout is the time for which a client may accept no data.
	writeTimeout = 10 * time.Second
	// chunk is the size in bytes of a write. Each write has a deadline.
	chunk = 64 << 10
	// evictAfter is the time after which a response may be aborted to make room for
	// another.
	evictAfter = 3 * time.Second
)

// ErrAborted is the error of writes after a response was aborted.
var ErrAborted = errors.New("response aborted: the client is too slow and others are waiting")

// Writer writes with a deadline for each chunk, which replaces the timeouts of the server.
// Frameworks without support for deadlines, such as Fiber, keep their own timeouts.
type Writer struct {
	http.ResponseWriter
	Control *http.ResponseController
}

// NewWriter returns a Writer for w.
func NewWriter(w http.ResponseWriter) Writer {
	return Writer{w, http.NewResponseController(w)}
}

// Write writes b. It fails if the client accepts no data for 10 seconds.
func (w Writer) Write(b []byte) (n int, err error) {
	return w.write(b, func() error {
		_ = w.Control.SetWriteDeadline(time.Now().Add(writeTimeout)) // if unsupported, the server's timeout applies
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

// Budget bounds the total size of the responses that are being sent. Create one with
// [NewBudget]. Its methods may be called concurrently.
type Budget struct {
	max int

	mu      sync.Mutex
	held    int
	sending []*Response // oldest first
}

// NewBudget returns a Budget with the given limit. A single response may exceed it.
func NewBudget(bytes int) *Budget { return &Budget{max: bytes} }

// Response is a response that is being sent. The caller must close it.
type Response struct {
	Writer
	budget *Budget
	size   int
	began  time.Time
	done   bool // aborted or closed
}

// Open reserves size bytes for a response. If they are not available, Open aborts
// responses that have taken longer than 3 seconds, oldest first. If that is not enough, it
// returns nil.
func (b *Budget) Open(w http.ResponseWriter, size int) *Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.makeRoom(size) {
		return nil
	}
	r := &Response{Writer: NewWriter(w), budget: b, size: size, began: time.Now()}
	b.held += size
	b.sending = append(b.sending, r)
	return r
}

// Full reports whether Open would return nil for any response, so that the caller need not
// render one. Like Open, it aborts old responses.
func (b *Budget) Full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.makeRoom(1)
}

// makeRoom aborts old responses until size bytes are available, and reports whether they
// are. The caller holds mu.
func (b *Budget) makeRoom(size int) bool {
	now := time.Now()
	for b.held > 0 && b.held+size > b.max {
		if now.Sub(b.sending[0].began) < evictAfter {
			return false
		}
		b.abort(b.sending[0], now)
	}
	return true
}

// abort makes the writes of r fail. The caller holds mu, so that r is not closed and its
// ResponseWriter is valid.
func (b *Budget) abort(r *Response, now time.Time) {
	b.release(r)
	_ = r.Control.SetWriteDeadline(now) // if unsupported, the next write fails
}

// release returns the bytes of r. The caller holds mu.
func (b *Budget) release(r *Response) {
	if r.done {
		return
	}
	r.done = true
	b.held -= r.size
	b.sending = slices.DeleteFunc(b.sending, func(x *Response) bool { return x == r })
}

// Write writes p as [Writer.Write] does. It returns [ErrAborted] after the response was aborted.
func (r *Response) Write(p []byte) (int, error) { return r.write(p, r.extend) }

// extend sets the deadline for the next chunk.
func (r *Response) extend() error {
	r.budget.mu.Lock()
	defer r.budget.mu.Unlock()
	if r.done {
		return ErrAborted
	}
	_ = r.Control.SetWriteDeadline(time.Now().Add(writeTimeout)) // if unsupported, the server's timeout applies
	return nil
}

// Close returns the reserved bytes.
func (r *Response) Close() {
	r.budget.mu.Lock()
	defer r.budget.mu.Unlock()
	r.budget.release(r)
}
