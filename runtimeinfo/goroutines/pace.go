package goroutines

import "time"

// pace knows how many spans of one name had ended some minutes ago.
type pace struct {
	since        time.Time
	from, before uint64 // ended up to since, and up to the one before that
}

// add takes how many have ended up to now.
func (p pace) add(now time.Time, ended uint64) pace {
	const while = 3 * time.Minute
	switch {
	case p.since.IsZero():
		return pace{since: now, from: ended}
	case now.Sub(p.since) >= while:
		return pace{since: now, from: ended, before: p.from}
	default:
		return p
	}
}

// lately returns how many have ended in the last three to six minutes.
func (p pace) lately(ended uint64) uint64 { return ended - min(ended, p.before) }
