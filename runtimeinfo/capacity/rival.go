package capacity

// rival is what others on the machine take of the CPU that the process may use.
type rival struct {
	takes float64 // share, over the last few windows
}

const (
	// customary is the share of waiting that is no rival's doing: every wake-up of
	// a thread waits a little.
	customary = 0.1
	rivalFade = 0.7
)

// leaves is the share of the usable CPU that the process gets when it wants it.
// Threads that wait for a CPU for as long as they run get half of it. Where the
// machine has idle CPU for all that the process may use, nobody takes anything.
func (r *rival) leaves(w *window) float64 {
	taken := 0.0
	if w.wait > 0 && (w.idle < 0 || w.idle < w.usable-w.cpu) {
		taken = max(0, 1-(w.cpu/(w.cpu+w.wait))/(1-customary))
	}
	r.takes = rivalFade*r.takes + (1-rivalFade)*taken
	return 1 - r.takes
}
