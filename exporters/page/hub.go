// SPDX-License-Identifier: Apache-2.0

package page

import (
	"errors"
	"slices"
	"sync"
)

const (
	// defaultViewers is the default of Config.MaxViewers.
	defaultViewers = 128
	// keptFrames is the number of frames that are kept for viewers. A viewer that is
	// further behind is disconnected; it reconnects and asks for what it missed.
	keptFrames = 32
)

var (
	errClosed = errors.New("the agent has stopped")
	errFull   = errors.New("too many viewers")
	errBusy   = errors.New("too many viewers come back at a time")
	errSlow   = errors.New("the viewer is too slow")
)

// hub passes frames to viewers. It never waits for a viewer: each one fetches the
// frames that it has not sent yet on the goroutine of its own request.
type hub struct {
	max int // number of viewers

	mu      sync.Mutex
	frames  []frame                    // the newest, oldest first, consecutive
	viewers map[chan struct{}]struct{} // channels that wake them
	closed  bool
	cut     uint64 // number of viewers that were disconnected because they were too slow
}

func newHub(viewers int) *hub { return &hub{max: viewers, viewers: map[chan struct{}]struct{}{}} }

// publish adds a frame and wakes all viewers.
func (h *hub) publish(f frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frames = append(h.frames, f)
	if len(h.frames) > keptFrames {
		h.frames = slices.Clone(h.frames[1:]) // viewers may still read the old array
	}
	for v := range h.viewers {
		select {
		case v <- struct{}{}:
		default: // it is awake already
		}
	}
}

// clear drops the frames, for a time without viewers.
func (h *hub) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frames = nil
}

// since returns the frames after row seq. It returns errSlow if some of them are not
// kept any more.
func (h *hub) since(seq uint64) ([]frame, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.frames) > 0 && h.frames[0].seq > seq+1 {
		return nil, errSlow
	}
	for i := range h.frames {
		if h.frames[i].seq > seq {
			return slices.Clip(h.frames[i:]), nil
		}
	}
	return nil, nil
}

// enter adds a viewer. The channel has capacity 1, because one wake-up stands for any
// number of frames, and is closed when the hub is.
func (h *hub) enter() (chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	if len(h.viewers) >= h.max {
		return nil, errFull
	}
	v := make(chan struct{}, 1)
	h.viewers[v] = struct{}{}
	return v, nil
}

// leave removes a viewer.
func (h *hub) leave(v chan struct{}, slow bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.viewers, v)
	if slow {
		h.cut++
	}
}

func (h *hub) counts() (viewers int, cut uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.viewers), h.cut
}

// close ends all streams.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for v := range h.viewers {
		close(v)
	}
	clear(h.viewers)
}
