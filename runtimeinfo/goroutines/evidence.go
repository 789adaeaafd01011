// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"fmt"
	"strings"
	"time"
)

// ran returns a phrase with the share of members that ran in the recordings.
func (j *judgement) ran() string {
	f := j.facts
	a := &f.activity
	share := "none"
	if a.ran > 0 {
		share = fmt.Sprintf("%.0f %%", 100*float64(a.ran)/float64(max(1, a.old)))
	}
	return fmt.Sprintf("%s of the older members ran during %s", share, j.recordings())
}

// recordings returns a phrase with the number and the length of the recordings.
func (j *judgement) recordings() string {
	f := j.facts
	each := round(f.length / time.Duration(max(1, f.looks)))
	if f.looks == 1 {
		return fmt.Sprintf("a recording of %v", each)
	}
	return fmt.Sprintf("%d recordings of %v each", f.looks, each)
}

// silence is the evidence of a leak.
func (j *judgement) silence() string {
	f := j.facts
	ran := fmt.Sprintf("%d of %d ran during %s", f.aged-f.silent, f.aged, j.recordings())
	if f.sampled {
		ran = "in a sample " + ran
	}
	if !f.mature {
		return fmt.Sprintf("%s; none has ended, and the memory lasts for %v at this rate", ran, round(j.v.ToLimit))
	}
	since := j.in.now.Add(-f.age).Format(time.TimeOnly)
	if f.left == 0 {
		return fmt.Sprintf("%s; none of the %d that were there at %s has ended", ran, f.stayed, since)
	}
	return fmt.Sprintf("%s; %d of the %d that were there at %s have ended", ran, f.left, f.stayed+f.left, since)
}

// loop is the evidence of a leak of goroutines that wake themselves.
func (j *judgement) loop() string {
	f := j.facts
	stayed, watched := f.loops.stayed, 2*loopSlots
	if stayed < f.settled.stayed {
		stayed, watched = f.settled.stayed, ageSlots+watchSlots
	}
	text := fmt.Sprintf("they run on timers of their own only; none of the %d that were there %v ago has ended", stayed, round(j.t.rules.slots(watched)))
	if f.perSpan > 0 {
		return fmt.Sprintf("%s; %.2g join for each root span", text, f.perSpan)
	}
	return text + "; " + j.added()
}

// added returns a phrase with the number of members that joined during the watch.
func (j *judgement) added() string {
	w := j.tr.watch
	if w == nil {
		return fmt.Sprintf("%d members", j.g.Count)
	}
	return fmt.Sprintf("%d more in %v", j.g.Count-w.size, round(j.watched()))
}

// soFar returns what is known about a group that is not classified yet, and what will decide.
func (j *judgement) soFar() string {
	f := j.facts
	parts := []string{j.added()}
	if f.looks > 0 {
		parts = append(parts, j.ran())
	}
	switch {
	case !j.t.recording:
		parts = append(parts, "there is no recorder, so it is not known whether they run or end")
	case f.looks == 0:
		parts = append(parts, "the first recording will tell whether they run")
	case f.left > 0:
		parts = append(parts, fmt.Sprintf("%d ended late: those that stay longer will tell", f.left))
	case f.loop():
		parts = append(parts, "they wake themselves: if as many as now are added for some minutes more and none ends, it is a leak")
	case f.mature && f.pace < 0.6:
		parts = append(parts, "fewer join than before: if the group fills up, it is a pool")
	case !f.mature:
		if m := j.t.members.groups[j.g.plain()]; m != nil {
			at := j.t.start.Add(m.since + j.t.rules.slots(ageSlots+watchSlots))
			if at.After(j.in.now) {
				parts = append(parts, "if none of them runs or ends and more are added, it is a leak at "+at.Format(time.TimeOnly))
			}
		}
	}
	return strings.Join(parts, "; ")
}
