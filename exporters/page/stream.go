// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/exporters/internal/reply"
)

const (
	// maxReplay is the number of missed rows that a returning viewer is sent. A viewer
	// that missed more loads the history again.
	maxReplay = 600
	// heartbeat keeps proxies from closing an idle stream.
	heartbeat = 15 * time.Second
)

// serveStream sends rows to one viewer as they are added.
func (e *Exporter) serveStream(w http.ResponseWriter, r *http.Request) {
	select {
	case <-e.closing:
		fail(w, http.StatusServiceUnavailable, "the agent has stopped")
		return
	default:
	}
	if !e.hub.enter() {
		fail(w, http.StatusServiceUnavailable, "too many viewers")
		return
	}
	var err error
	defer func() { e.hub.leave(errors.Is(err, errSlow)) }()
	s, err := e.openStream(w, r)
	if err == nil {
		err = s.run(r.Context())
	}
}

// stream writes events to one viewer.
type stream struct {
	e *Exporter
	reply.Writer
	seq     uint64 // of the newest row that was sent
	columns int    // number of columns that were sent
}

// openStream sends the header. If w cannot be flushed it answers with status 501, and
// the page polls.
func (e *Exporter) openStream(w http.ResponseWriter, r *http.Request) (*stream, error) {
	s := &stream{e: e, Writer: reply.NewWriter(w)}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // nginx would buffer the stream
	// ReadTimeout of the server would cancel the request.
	_ = s.Control.SetReadDeadline(time.Time{}) // if unsupported there is none
	if err := s.Control.Flush(); err != nil {
		fail(w, http.StatusNotImplemented, "this server cannot stream: poll api/v1/samples")
		return nil, err
	}
	s.seq = e.resume(lastEventID(r))
	return s, nil
}

// lastEventID returns the id of the last row that the client has. Browsers send the
// header when they reconnect, the page sends the parameter.
func lastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return r.URL.Query().Get("after")
}

// resume returns the row with an id, or the newest row if the id is malformed or from
// another process.
func (e *Exporter) resume(id string) uint64 {
	_, _, newest := e.history.span()
	boot, seq, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || boot != e.boot || n > newest {
		return newest
	}
	return n
}

// run sends rows until the viewer leaves or is too slow, or Shutdown is called.
func (s *stream) run(ctx context.Context) error {
	if err := s.write("retry: 2000\n\n"); err != nil {
		return err
	}
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		frames, next, err := s.e.hub.since(s.seq)
		if err == nil {
			err = s.send(frames)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.e.closing:
			return s.write("event: bye\ndata: {}\n\n")
		case <-next:
		case <-beat.C:
			if err := s.write(": still here\n\n"); err != nil {
				return err
			}
		}
	}
}

// catchUp sends the rows that the viewer missed, a few at a time, or tells it to load
// the history again.
func (s *stream) catchUp(ctx context.Context) error {
	if _, _, newest := s.e.history.span(); newest-s.seq > maxReplay {
		s.seq = newest
		return s.write("event: reset\ndata: {}\n\n")
	}
	for more := true; more; {
		var frames []frame
		if !s.e.heavy.run(ctx, func() { frames, more = s.e.framesAfter(s.seq, keptFrames) }) {
			return errBusy
		}
		if err := s.send(frames); err != nil {
			return err
		}
	}
	return nil
}

// send writes frames, and the names of columns if there are new ones.
func (s *stream) send(frames []frame) error {
	var b strings.Builder
	for _, f := range frames {
		if f.columns != s.columns {
			s.columns = f.columns
			fmt.Fprintf(&b, "event: columns\ndata: %s\n\n", encode(s.e.history.directory()[:f.columns]))
		}
		fmt.Fprintf(&b, "id: %s\ndata: %s\n\n", s.e.rowID(f.seq), f.data)
		s.seq = f.seq
	}
	if b.Len() == 0 {
		return nil
	}
	return s.write(b.String())
}

// write writes and flushes text. It returns errSlow if a deadline passes.
func (s *stream) write(text string) error {
	_, err := s.Write([]byte(text))
	if err == nil {
		err = s.Control.Flush()
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: %w", errSlow, err)
	}
	return err
}
