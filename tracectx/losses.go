// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// minLost is the number of lost bodies at a line that opens an incident. Each one is proved by
// the garbage collector; fewer may be an error path that is rarely taken.
const minLost = 10

// lossOver is how long a line has no lost bodies before its incident is closed: with a short
// timeout of the requests, bodies are lost and released all the time.
const lossOver = 2 * time.Minute

// lossReporter makes the incidents of lost response bodies, one for each line.
type lossReporter struct {
	incidents map[string]*lossIncident // by line
	count     int
}

type lossIncident struct {
	runtimeinfo.Incident

	reported int       // lost bodies at the last event
	seen     time.Time // when there were lost bodies last
}

// lineLoss is the lost bodies of a line.
type lineLoss struct {
	line, root string // root: of the most
	lost, most int
}

// report returns the events of incidents that are opened, worsened or closed. A lost body is gone
// when the context of its request is done.
func (r *lossReporter) report(pairs []*bodyPair, now time.Time, full func(root string) string) (events []runtimeinfo.Event) {
	for _, l := range lossesOf(pairs) {
		i := r.incidents[l.line]
		if i != nil {
			i.seen = now
		}
		switch {
		case i == nil && l.lost >= minLost:
			events = append(events, r.open(&l, now, full).event(l.lost, runtimeinfo.IncidentOpened, now))
		case i != nil && l.lost >= 2*i.reported:
			events = append(events, i.event(l.lost, runtimeinfo.IncidentWorsened, now))
		}
	}
	for _, line := range slices.Sorted(maps.Keys(r.incidents)) {
		if i := r.incidents[line]; now.Sub(i.seen) >= lossOver {
			events = append(events, i.event(0, runtimeinfo.IncidentClosed, now))
			delete(r.incidents, line)
		}
	}
	return events
}

// lossesOf sums the lost bodies of HTTP/1 by line, in the order of the first pair of each.
func lossesOf(pairs []*bodyPair) (all []lineLoss) {
	index := map[string]int{}
	for _, p := range pairs {
		if p.lostHTTP1 == 0 {
			continue
		}
		i, known := index[p.line]
		if !known {
			i = len(all)
			index[p.line] = i
			all = append(all, lineLoss{line: p.line})
		}
		l := &all[i]
		l.lost += p.lostHTTP1
		if p.lostHTTP1 > l.most {
			l.most, l.root = p.lostHTTP1, p.root
		}
	}
	return all
}

// open adds the incident of a line.
func (r *lossReporter) open(l *lineLoss, now time.Time, full func(root string) string) *lossIncident {
	if r.incidents == nil {
		r.incidents = map[string]*lossIncident{}
	}
	r.count++
	i := &lossIncident{seen: now, Incident: runtimeinfo.Incident{
		ID: "bodies-" + strconv.Itoa(r.count), Since: now, Kind: "unclosed", Site: l.line, Root: full(l.root), Unit: "{body}",
		Hint: "close each response body: defer resp.Body.Close() after the check of the error, on every path",
	}}
	r.incidents[l.line] = i
	return i
}

// event returns an event about n lost bodies.
func (i *lossIncident) event(n int, phase runtimeinfo.IncidentPhase, now time.Time) runtimeinfo.Event {
	about := i.Incident
	about.Phase, about.Size = phase, float64(n)
	severity, message := slog.LevelError, "HTTP response bodies are not closed, and no code can close them any more"
	if phase == runtimeinfo.IncidentClosed {
		severity, message = slog.LevelInfo, "the HTTP response bodies that were not closed are gone"
		about.Evidence = "the contexts of all these requests are done, which has freed their connections"
	} else {
		i.reported = n
		about.Evidence = fmt.Sprintf("no code can reach %d bodies that were neither closed nor read to their end; each holds a connection", n)
	}
	return runtimeinfo.Event{
		Time: now, Name: "http.client.body_lost." + string(phase), Severity: severity,
		Message: message + ": requested at " + i.Site,
		Attrs: []slog.Attr{
			slog.String("site", i.Site), slog.String("span.name", i.Root), slog.Int("lost", n),
			slog.String("evidence", about.Evidence), slog.String("hint", i.Hint),
		},
		Incident: &about,
	}
}
