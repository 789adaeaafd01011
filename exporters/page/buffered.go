// SPDX-License-Identifier: Apache-2.0

package page

import (
	"net/http"

	"github.com/gmpulse/gmpulse/exporters/internal/reply"
)

const (
	// maxSending is how many bytes of answers may wait for slow clients: some ten hours of
	// every column, or forty hours packed.
	maxSending = 16 << 20
	// downloadBytes is what a file that is being sent counts for: it takes a file
	// descriptor of the application.
	downloadBytes = 1 << 20
)

// memory is an answer that is made before it is sent.
type memory struct {
	header http.Header
	code   int
	body   []byte
}

// Header returns the header of the answer.
func (m *memory) Header() http.Header { return m.header }

// WriteHeader sets the status.
func (m *memory) WriteHeader(code int) {
	if m.code == 0 {
		m.code = code
	}
}

// Write adds to the body.
func (m *memory) Write(b []byte) (int, error) {
	m.WriteHeader(http.StatusOK)
	m.body = append(m.body, b...)
	return len(b), nil
}

// buffered lets serve make its answer in memory, when it is its turn, and sends it
// afterwards. What waits for slow clients is bounded in bytes.
func (e *Exporter) buffered(g gate, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m := memory{header: w.Header()}
		if e.sending.Full() || !g.run(r.Context(), func() { serve(&m, r) }) {
			busy(w)
			return
		}
		a := e.open(w, len(m.body))
		if a == nil {
			return
		}
		defer a.Close()
		m.WriteHeader(http.StatusOK)
		w.WriteHeader(m.code)
		if r.Method != http.MethodHead {
			_, _ = a.Write(m.body) // the client is gone: nobody to tell
		}
	}
}

// open reserves room for an answer. Where there is none, the client is told, and open
// returns nil.
func (e *Exporter) open(w http.ResponseWriter, size int) *reply.Response {
	a := e.sending.Open(w, size)
	if a == nil {
		busy(w)
	}
	return a
}

// busy tells a client to come back later.
func busy(w http.ResponseWriter) {
	for _, h := range []string{"Content-Encoding", "Content-Length", "Content-Disposition", "ETag"} {
		w.Header().Del(h) // of the answer that is not sent
	}
	w.Header().Set("Retry-After", "3")
	fail(w, http.StatusServiceUnavailable, "too many viewers at a time")
}
