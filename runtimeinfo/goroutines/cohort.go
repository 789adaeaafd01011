package goroutines

import (
	"fmt"
	"time"
)

const (
	// The members of one roll call are looked for again after so many of the
	// shortest slots, half a minute: the second call, which comes half a minute
	// after a group has begun to rise, has its answer before the trend is plain.
	rollSlots = slots / 2
	// A roll call is asked for when a group has risen so many slots in a row.
	risingSlots = 2
	// Of the members seen first, so many must be there again, and so many must
	// there have been: leak-evidence §5.3 B, where the rule flagged nothing benign
	// but connections.
	minCohort   = 5
	minSurvival = 0.9
)

// cohorts tells who of a group's members are there for long: it keeps who was
// in which group at one roll call, and counts who is still there in the next.
type cohorts struct {
	at     time.Time      // of the roll call that is kept
	group  map[uint64]Key // who was where
	since  time.Duration  // how long the members of stayed have been there at least
	judged time.Time      // when they were counted
	stayed map[Key]survival
}

// survival says how many of the members seen first are there again.
type survival struct{ first, again int }

// add takes a roll call. One that comes too soon to be compared is ignored.
func (c *cohorts) add(now time.Time, apart time.Duration, members []Member) {
	if !c.at.IsZero() && now.Sub(c.at) < apart {
		return
	}
	group := make(map[uint64]Key, len(members))
	stayed := map[Key]survival{}
	for _, k := range c.group {
		s := stayed[k]
		s.first++
		stayed[k] = s
	}
	for i := range members {
		k, ok := members[i].Key()
		if !ok {
			continue
		}
		k = k.plain()
		id := members[i].ID
		group[id] = k
		if c.group[id] == k {
			s := stayed[k]
			s.again++
			stayed[k] = s
		}
	}
	if c.group != nil {
		c.since, c.judged, c.stayed = now.Sub(c.at), now, stayed
	}
	c.at, c.group = now, group
}

// forget lets go of a roll call that is too old to be compared with the next:
// ids of the living would have to be kept for hours.
func (c *cohorts) forget(now time.Time, apart time.Duration) {
	if !c.at.IsZero() && now.Sub(c.at) > 5*apart {
		*c = cohorts{}
	}
}

// of returns the survival of a group, ok is false where nobody was counted of
// late, or too few.
func (c *cohorts) of(k Key, now time.Time, apart time.Duration) (s survival, ok bool) {
	if now.Sub(c.judged) > 2*apart {
		return s, false
	}
	s = c.stayed[k.plain()]
	return s, s.first >= minCohort
}

// stay tells whether nearly all are there again.
func (s survival) stay() bool { return float64(s.again) >= minSurvival*float64(s.first) }

func (s survival) String() string { return fmt.Sprintf("%d of %d", s.again, s.first) }
