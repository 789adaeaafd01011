// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters/internal/reply"
)

const (
	// maxViewers is how many streams are open at a time.
	maxViewers = 128
	// keptFrames is how many encoded frames wait for viewers. One that is further
	// behind is cut off: it comes back and asks for what it missed.
	keptFrames = 32
	// maxReplay is how many rows a viewer that comes back is handed; after a
	// longer absence it loads the history anew.
	maxReplay = 600
	// heartbeat keeps proxies from closing a stream on which nothing happens.
	heartbeat = 15 * time.Second
)

// hub tells viewers of new rows. Nobody waits for a viewer: each asks for what
// it has not seen yet, on the goroutine of its own request.
type hub struct {
	frames func(after uint64, most int) (frames []frame, complete bool)

	mu      sync.Mutex
	viewers map[chan struct{}]struct{}
	closed  bool
	cut     uint64 // viewers that were cut off because they were too slow

	cacheMu sync.Mutex
	cache   []frame // the newest, oldest first, consecutive
}

func newHub(frames func(after uint64, most int) ([]frame, bool)) *hub {
	return &hub{frames: frames, viewers: map[chan struct{}]struct{}{}}
}

// wake tells all viewers that there is something new. It never blocks.
func (h *hub) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for v := range h.viewers {
		select {
		case v <- struct{}{}:
		default: // it knows already
		}
	}
}

// enter adds a viewer; the channel is closed when the hub is.
func (h *hub) enter() (chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	if len(h.viewers) >= maxViewers {
		return nil, errFull
	}
	v := make(chan struct{}, 1) // one wake-up stands for many
	h.viewers[v] = struct{}{}
	return v, nil
}

var (
	errClosed = errors.New("the agent has stopped")
	errFull   = errors.New("too many viewers")
	errBusy   = errors.New("too many viewers come back at a time")
	errSlow   = errors.New("the viewer is too slow")
)

func (h *hub) leave(v chan struct{}, slow bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.viewers, v)
	if slow {
		h.cut++
	}
}

func (h *hub) count() (viewers int, cut uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.viewers), h.cut
}

// close ends all streams.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for v := range h.viewers {
		close(v)
		delete(h.viewers, v)
	}
}

// since returns the frames after seq for a viewer that is up to date or nearly
// so. Each frame is encoded once for all viewers.
func (h *hub) since(seq uint64) ([]frame, error) {
	h.cacheMu.Lock()
	defer h.cacheMu.Unlock()
	if n := len(h.cache); n == 0 || h.cache[n-1].seq < seq {
		h.cache = nil // nobody has looked for a while
	} else if h.cache[0].seq > seq+1 {
		return nil, errSlow
	}
	newest := seq - min(seq, keptFrames/2) // other viewers may be a little behind this one
	if n := len(h.cache); n > 0 {
		newest = h.cache[n-1].seq
	}
	more, complete := h.frames(newest, keptFrames)
	if !complete {
		h.cache = nil
		return nil, errSlow
	}
	h.cache = append(h.cache, more...)
	if n := len(h.cache); n > keptFrames {
		h.cache = append([]frame(nil), h.cache[n-keptFrames:]...)
	}
	for i := range h.cache {
		if h.cache[i].seq > seq {
			return h.cache[i:len(h.cache):len(h.cache)], nil
		}
	}
	return nil, nil
}

// serveStream is the stream of one viewer.
func (e *Exporter) serveStream(w http.ResponseWriter, r *http.Request) {
	v, err := e.hub.enter()
	if err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer func() { e.hub.leave(v, errors.Is(err, errSlow)) }()
	s, err := e.openStream(w, r)
	if err == nil {
		err = s.run(r, v)
	}
}

// stream writes events to one viewer.
type stream struct {
	e *Exporter
	reply.Writer
	seq     uint64 // of the newest row that was sent
	columns int    // of the directory that was sent
}

// openStream answers 501 where nothing can be flushed: the page then polls.
func (e *Exporter) openStream(w http.ResponseWriter, r *http.Request) (*stream, error) {
	s := &stream{e: e, Writer: reply.NewWriter(w)}
	h := w.Header()
	kind := h.Get("Content-Type")
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep it all
	// The server's own deadlines are for requests that end: without this one
	// ReadTimeout would cancel the request.
	_ = s.Control.SetReadDeadline(time.Time{}) // where unsupported there is none to clear
	if err := s.Control.Flush(); err != nil {
		h.Set("Content-Type", kind)
		fail(w, http.StatusNotImplemented, "this server cannot stream: poll api/v1/samples")
		return nil, err
	}
	s.seq = e.resume(lastEventID(r))
	return s, nil
}

// lastEventID is what the viewer saw last: browsers say it when they come back,
// and the page when it has loaded the history.
func lastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return r.URL.Query().Get("after")
}

// resume returns the row that an id stands for, or the newest for one that is
// not of this process.
func (e *Exporter) resume(id string) uint64 {
	_, _, newest := e.history.span()
	boot, seq, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || boot != e.boot || n > newest {
		return newest
	}
	return n
}

// run sends what is new until the viewer is gone, too slow, or the hub closed.
func (s *stream) run(r *http.Request, wake <-chan struct{}) error {
	if err := s.write("retry: 2000\n\n"); err != nil {
		return err
	}
	if err := s.catchUp(r.Context()); err != nil {
		return err
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return r.Context().Err()
		case _, ok := <-wake:
			if !ok {
				return s.write("event: bye\ndata: {}\n\n")
			}
			if err := s.update(); err != nil {
				return err
			}
		case <-beat.C:
			if err := s.write(": still here\n\n"); err != nil {
				return err
			}
		}
	}
}

// update sends what is new.
func (s *stream) update() error {
	frames, err := s.e.hub.since(s.seq)
	if err != nil {
		return err
	}
	return s.send(frames)
}

// catchUp sends what the viewer missed, a few rows at a time, or tells it to begin anew.
func (s *stream) catchUp(ctx context.Context) error {
	for more := true; more; {
		_, _, newest := s.e.history.span()
		if newest-min(s.seq, newest) > maxReplay {
			s.seq = newest
			return s.write("event: reset\ndata: {}\n\n")
		}
		var frames []frame
		if !s.e.heavy.run(ctx, func() { frames, more = s.e.some(s.seq, keptFrames) }) {
			return errBusy
		}
		if err := s.send(frames); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) send(frames []frame) error {
	var b strings.Builder
	for i := range frames {
		f := &frames[i]
		if f.columns != s.columns {
			s.columns = f.columns
			fmt.Fprintf(&b, "event: columns\ndata: %s\n\n", encode(s.e.history.directory()[:f.columns]))
		}
		fmt.Fprintf(&b, "id: %s-%d\ndata: %s\n\n", s.e.boot, f.seq, f.data)
		s.seq = f.seq
	}
	if b.Len() == 0 {
		return nil
	}
	return s.write(b.String())
}

// write sends text at once.
func (s *stream) write(text string) error {
	if _, err := s.Write([]byte(text)); err != nil {
		return slow(err)
	}
	return slow(s.Control.Flush())
}

// slow marks an error that says that the viewer took nothing for too long.
func slow(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: %w", errSlow, err)
	}
	return err
}
