// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters/page"
)

// viewer is an in-memory client. Once stalled, its writes block until their deadline.
type viewer struct {
	header http.Header

	mu       sync.Mutex
	buf      bytes.Buffer
	code     int
	stalled  bool
	deadline time.Time
	largest  int // write
}

func newViewer() *viewer { return &viewer{header: http.Header{}} }

func (v *viewer) Header() http.Header { return v.header }

func (v *viewer) WriteHeader(code int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.code = code
}

func (v *viewer) status() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.code
}

func (v *viewer) Flush() {}

func (v *viewer) SetWriteDeadline(t time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.deadline = t
	return nil
}

func (v *viewer) SetReadDeadline(time.Time) error { return nil }

func (v *viewer) Write(b []byte) (int, error) {
	v.mu.Lock()
	if v.code == 0 {
		v.code = http.StatusOK
	}
	stalled, wait := v.stalled, time.Until(v.deadline)
	defer v.mu.Unlock()
	if stalled {
		v.mu.Unlock()
		time.Sleep(wait)
		v.mu.Lock()
		return 0, os.ErrDeadlineExceeded
	}
	v.largest = max(v.largest, len(b))
	return v.buf.Write(b)
}

func (v *viewer) stall() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stalled = true
}

func (v *viewer) take() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.buf.String()
	v.buf.Reset()
	return s
}

// watch opens a stream. The returned function closes it.
func watch(t *testing.T, e *page.Exporter, v http.ResponseWriter, lastID string) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequest(http.MethodGet, "/api/v1/stream", http.NoBody).WithContext(ctx)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Handler().ServeHTTP(v, r)
	}()
	synctest.Wait()
	return func() { cancel(); <-done }
}

type viewers struct {
	Viewers int
	Cut     uint64 `json:"viewers_cut"`
	Boot    string
	Seq     uint64
}
