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
	errBusy = errors.New("too many viewers come back at a time")
	errSlow = errors.New("the viewer is too slow")
)

// hub passes frames to viewers. It never waits for a viewer: each one fetches the
// frames that it has not sent yet on the goroutine of its own request.
type hub struct {
	max int // number of viewers

	mu      sync.Mutex
	frames  []frame       // the newest, oldest first, consecutive
	next    chan struct{} // closed when there is another frame
	viewers int
	cut     uint64 // number of viewers that were disconnected because they were too slow
}

func newHub(viewers int) *hub { return &hub{max: viewers, next: make(chan struct{})} }

// publish adds a frame and wakes all viewers.
func (h *hub) publish(f frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frames = append(h.frames, f)
	if len(h.frames) > keptFrames {
		h.frames = slices.Clone(h.frames[1:]) // viewers may still read the old array
	}
	close(h.next)
	h.next = make(chan struct{})
}

// clear drops the frames, for a time without viewers.
func (h *hub) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frames = nil
}

// since returns the frames after row seq, and a channel that is closed when there are more. It
// returns errSlow if some of them are not kept any more.
func (h *hub) since(seq uint64) (frames []frame, next <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.frames) > 0 && h.frames[0].seq > seq+1 {
		return nil, nil, errSlow
	}
	if i := slices.IndexFunc(h.frames, func(f frame) bool { return f.seq > seq }); i >= 0 {
		frames = slices.Clip(h.frames[i:])
	}
	return frames, h.next, nil
}

// enter adds a viewer. It reports false if there are too many.
func (h *hub) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.viewers >= h.max {
		return false
	}
	h.viewers++
	return true
}

// leave removes a viewer.
func (h *hub) leave(slow bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.viewers--
	if slow {
		h.cut++
	}
}

func (h *hub) counts() (viewers int, cut uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.viewers, h.cut
}
