// SPDX-License-Identifier: Apache-2.0

package capacity

// rival is what others on the machine take of the CPU that the process may use.
type rival struct {
	takes float64 // share, over the last few windows
}

const (
	// eager is from which share of its CPUs on a process shows by what it gets what
	// it can get. Below, a thread that runs for a moment and waits for a moment
	// would get far more if it ran on.
	eager = 0.97
	// customary is the share of waiting that is no rival's doing: every wake-up of
	// a thread waits a little.
	customary = 0.1
	rivalFade = 0.7
)

// leaves is the share of the usable CPU that the process gets when it wants it.
func (r *rival) leaves(w *window) float64 {
	r.takes = rivalFade*r.takes + (1-rivalFade)*(1-w.gets())
	return 1 - r.takes
}

// gets is the same as leaves for one window. Where the machine has room for all
// that the process may use, it is all. Otherwise a process that wants CPU all of
// the time gets the part in which it does not wait for it; one that wants less
// will get what others leave, or its fair part, whichever is more.
func (w *window) gets() float64 {
	if w.others < 0 || w.cpus-w.others >= w.usable {
		return 1
	}
	if wanted := w.cpu + w.wait; wanted >= eager*w.usable && w.wait > 0 {
		return min(1, w.cpu/wanted/(1-customary))
	}
	return min(1, max(w.cpus-w.others, w.cpus*w.usable/(w.usable+w.others))/w.usable)
}

// doubt is how much the limit may be off because neighbours come and go: by a third
// of what they take.
func doubt(left float64) float64 { return (1 - left) / 3 }
