// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/exporters/internal/reply"
)

const (
	// maxSending is the number of bytes of responses that may wait for slow clients.
	maxSending = 16 << 20
	// downloadBytes is what a file download counts towards maxSending, whatever its
	// size: it is not read into memory but holds a file descriptor.
	downloadBytes = 1 << 20
	// minCompress is the size in bytes from which a response is compressed.
	minCompress = 1 << 10
	// limiterTimeout is how long a request waits for its turn.
	limiterTimeout = 10 * time.Second
)

// limiter bounds the number of requests that run an expensive step at the same
// time. Sending the result is not part of the step: a client that does not read
// must not block others.
type limiter chan struct{}

// run calls step when a slot is free. It returns false, without calling step, if
// ctx ends or limiterTimeout passes first.
func (l limiter) run(ctx context.Context, step func()) bool {
	timeout := time.NewTimer(limiterTimeout) // a derived context would cost a goroutine in frameworks with a context of their own
	defer timeout.Stop()
	select {
	case l <- struct{}{}:
	case <-timeout.C:
		return false
	case <-ctx.Done():
		return false
	}
	defer func() { <-l }()
	step()
	return true
}

// content is the body of a response.
type content struct {
	body    []byte
	gzipped bool
}

// statusError is an error with the HTTP status to report it with.
type statusError struct {
	status  int
	message string
}

// Error returns the message.
func (e *statusError) Error() string { return e.message }

// route returns the value to send as JSON. A []byte is JSON already.
type route func(r *http.Request) (any, error)

// jsonRoute returns a handler that sends the result of f. At most as many calls of f run
// at the same time as l allows.
func (e *Exporter) jsonRoute(l limiter, f route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.send(w, r, l, func() (content, error) {
			v, err := f(r)
			if body, ok := v.([]byte); ok || err != nil {
				return content{body: body}, err
			}
			body, err := json.Marshal(v)
			return content{body: body}, err
		})
	}
}

// send renders a response in memory, under l, and then writes it.
func (e *Exporter) send(w http.ResponseWriter, r *http.Request, l limiter, render func() (content, error)) {
	var c content
	var err error
	if e.sending.Full() || !l.run(r.Context(), func() {
		if c, err = render(); err == nil {
			c.encodeFor(r)
		}
	}) {
		busy(w)
		return
	}
	if err != nil {
		failWith(w, err)
		return
	}
	a := e.reserve(w, len(c.body))
	if a == nil {
		return
	}
	defer a.Close()
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Length", strconv.Itoa(len(c.body)))
	if c.gzipped {
		h.Set("Content-Encoding", "gzip")
	}
	if r.Method != http.MethodHead {
		_, _ = a.Write(c.body) // an error means that the client is gone
	}
}

// encodeFor compresses or decompresses c as the client accepts it.
func (c *content) encodeFor(r *http.Request) {
	accepts := acceptsGzip(r)
	switch {
	case accepts && !c.gzipped && len(c.body) > minCompress:
		var out bytes.Buffer
		z, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed) // the level is valid
		_, _ = z.Write(c.body)                            // into memory
		_ = z.Close()
		c.body, c.gzipped = out.Bytes(), true
	case !accepts && c.gzipped:
		if z, err := gzip.NewReader(bytes.NewReader(c.body)); err == nil {
			c.body, _ = io.ReadAll(z) // from memory
		}
		c.gzipped = false
	}
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.TrimSpace(q) != "q=0" {
			return true
		}
	}
	return false
}

// reserve reserves size bytes for a response. If there is no room, it reports that to
// the client and returns nil.
func (e *Exporter) reserve(w http.ResponseWriter, size int) *reply.Response {
	a := e.sending.Open(w, size)
	if a == nil {
		busy(w)
	}
	return a
}

// busy asks the client to come back later.
func busy(w http.ResponseWriter) {
	w.Header().Del("ETag") // it belongs to the response that is not sent
	w.Header().Set("Retry-After", "3")
	fail(w, http.StatusServiceUnavailable, "too many viewers at a time")
}

// failWith reports err, with status 500 unless it is a statusError.
func failWith(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if se := (*statusError)(nil); errors.As(err, &se) {
		status = se.status
	}
	fail(w, status, err.Error())
}

// fail writes {"error": message}.
func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(encode(map[string]string{"error": message})) // an error means that the client is gone
}

// encode returns v as JSON. The types of this package always encode.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}
