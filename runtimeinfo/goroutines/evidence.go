// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"fmt"
	"strings"
	"time"
)

// ran describes how many members ran in the recordings.
func (c *classifier) ran() string {
	a := &c.facts.activity
	share := "none"
	if a.ran > 0 {
		share = fmt.Sprintf("%.0f %%", 100*float64(a.ran)/float64(max(1, a.old)))
	}
	return fmt.Sprintf("%s of the older members ran during %s", share, c.recordings())
}

// recordings describes the number and the length of the recordings.
func (c *classifier) recordings() string {
	f := c.facts
	each := round(f.length / time.Duration(max(1, f.recordings)))
	if f.recordings == 1 {
		return fmt.Sprintf("a recording of %v", each)
	}
	return fmt.Sprintf("%d recordings of %v each", f.recordings, each)
}

// silence describes the evidence of a leak.
func (c *classifier) silence() string {
	f := c.facts
	ran := fmt.Sprintf("%d of %d ran during %s", f.aged-f.silent, f.aged, c.recordings())
	if f.sampled {
		ran = "in a sample " + ran
	}
	if c.t.isFlood(c.g) && !(f.pace >= minPace) {
		ran = c.floodReason() + "; " + ran
	}
	switch {
	case !f.mature && f.quick && f.cohort.gone() == 0 && c.endangers():
		return fmt.Sprintf("%s; none that waited for %v had ended by %s, and the memory lasts for %v at this rate",
			ran, round(c.t.rules.slots(quickSlots)), c.recorded().Format(time.TimeOnly), round(c.v.ToLimit))
	case f.cohort == cohort{}:
		return ran
	default:
		return ran + "; " + c.fate(f.cohort, f.age)
	}
}

// fate describes how many members of a cohort have ended. Age is the age of those that stayed.
func (c *classifier) fate(x cohort, age time.Duration) string {
	at := c.recorded()
	from, to := at.Add(-age).Format(time.TimeOnly), at.Format(time.TimeOnly)
	switch {
	case x.gone() == 0:
		return fmt.Sprintf("none of the %d that existed at %s had ended by %s", x.stayed, from, to)
	case x.stayed == 0:
		return fmt.Sprintf("%d ended late", x.gone())
	}
	return fmt.Sprintf("%d ended late, and %d that existed at %s had not ended by %s", x.gone(), x.stayed, from, to)
}

// recorded returns the time of the facts, which may be minutes before the survey.
func (c *classifier) recorded() time.Time { return c.in.now.Add(c.facts.at - c.in.at) }

// allEnded is why the alarm on a group without members is closed.
const allEnded = "all members have ended"

// loop describes the evidence of a leak of goroutines that wake themselves.
func (c *classifier) loop() string {
	f := c.facts
	x, age := f.loops, 2*loopSlots
	if x.stayed < f.settled.stayed {
		x, age = f.settled, ageSlots+watchSlots
	}
	text := "only their own timers wake them; " + c.fate(x, c.t.rules.slots(age))
	if f.perSpan > 0 {
		return fmt.Sprintf("%s; %.2g join for each root span", text, f.perSpan)
	}
	return text + "; " + c.added()
}

// accumulation describes the evidence of a leak of goroutines that work.
func (c *classifier) accumulation() string {
	f := c.facts
	text := "they work, but accumulate; " + c.fate(f.settled, c.t.rules.slots(ageSlots+watchSlots))
	if f.perSpan > 0 {
		text += fmt.Sprintf("; %.2g join for each root span", f.perSpan)
	}
	return text
}

// added describes how many members joined during the watch.
func (c *classifier) added() string {
	if c.h.watch == nil {
		return fmt.Sprintf("%d members", c.g.Count)
	}
	return fmt.Sprintf("%d more in %v", c.g.Count-c.h.watch.size, round(c.watched()))
}

// soFar describes what is known about a group without a final verdict, and what decides it.
func (c *classifier) soFar() string {
	f := c.facts
	parts := []string{c.added()}
	if f.recordings > 0 {
		parts = append(parts, c.ran())
	}
	switch {
	case !c.t.recording:
		parts = append(parts, "there is no recorder, so it is unknown whether they run or end")
	case f.recordings == 0:
		parts = append(parts, "the first recording will show whether they run")
	case f.cohort.left > 0:
		parts = append(parts, fmt.Sprintf("%d ended late: the next recordings will show whether the others do", f.cohort.left))
	case f.mature && !f.waited:
		parts = append(parts, fmt.Sprintf("some ended after they had waited for %v: it is a leak if others wait for %v", round(f.longest), round(f.wait)))
	case f.loop():
		parts = append(parts, "they wake themselves: it is a leak if they are added at this rate for some more minutes and none ends")
	case f.mature && f.pace < minPace:
		parts = append(parts, "fewer join than before: it is a pool if the number stops rising")
	case !f.mature:
		if m := c.t.members.groups[c.g.traceKey()]; m != nil {
			at := c.t.start.Add(m.since + c.t.rules.slots(ageSlots+watchSlots))
			if at.After(c.in.now) {
				parts = append(parts, fmt.Sprintf("it is a leak at %s if more are added and none runs or ends", at.Format(time.TimeOnly)))
			}
		}
	}
	return strings.Join(parts, "; ")
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
