// SPDX-License-Identifier: Apache-2.0

package capacity

// neighbors estimates the usable CPU that other processes of the machine take.
type neighbors struct {
	take float64 // share, averaged over the last few windows
}

const (
	// eager is the share of wanted CPU from which on the CPU that a process gets is all that
	// it can get. A thread that only runs and waits for moments could get more.
	eager = 0.97
	// customary is the share of waiting without neighbors: each wake-up of a thread waits a
	// little.
	customary    = 0.1
	neighborFade = 0.7
)

// leave returns the share of the usable CPU that the process can get.
func (r *neighbors) leave(w *window) float64 {
	r.take = neighborFade*r.take + (1-neighborFade)*(1-w.gets())
	return 1 - r.take
}

// gets returns the share of one window. It is 1 if the machine has enough CPU. Otherwise it is
// the share of time without waiting for a process that always wants CPU; for others it is what
// the neighbors leave or the fair share, whichever is more.
func (w *window) gets() float64 {
	if w.others < 0 || w.cpus-w.others >= w.usable {
		return 1
	}
	if wanted := w.cpu + w.wait; wanted >= eager*w.usable && w.wait > 0 {
		return min(1, w.cpu/wanted/(1-customary))
	}
	return min(1, max(w.cpus-w.others, w.cpus*w.usable/(w.usable+w.others))/w.usable)
}

// doubt returns the relative error of the limit because neighbors vary: a third of their share.
func doubt(left float64) float64 { return (1 - left) / 3 }
