// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

type options struct {
	tick     time.Duration // that stands for a second
	learning int           // seconds that nobody is asked about
	rest     int           // seconds after every phase: an alert must end, and no other come
	verbose  bool
	record   string // a directory, "" for none
	replay   string
}

// alert is one that somebody raised.
type alert struct {
	second int // of its phase
	why    string
}

// piece is what happened in one phase, or in the rest after it.
type piece struct {
	alerts map[string][]alert // by who raised them
	up     map[string]int     // seconds that an alert was up
	again  []int              // seconds at which ours was reopened
	closed int                // second at which ours ended; -1 if it did not
	open   bool               // ours was, at its end
	busy   float64            // CPUs that others used, on average; negative where unknown
}

// outcome is one run through all phases: each has two pieces, itself and its rest.
type outcome struct {
	seed   uint64
	pieces [][2]piece
}

// ours is the name of the baselines among the juries.
const ours = "gmpulse"

// world is everything that one run needs.
type world struct {
	*options
	source source
	watch  *baseline.Watch
	juries []*jury
	open   bool
	others others
}

// A source has the seconds of a service, one snapshot each: a live one or a
// recording.
type source interface {
	// next lets a second pass, after do has done to the service what the phase does.
	next(do func(*service)) (*runtimeinfo.Snapshot, error)
	// recover ends whatever trouble the phase made.
	recover()
}

func run(o *options, seed uint64, phases []phase, from source) (*outcome, error) {
	watch, err := baseline.New(baseline.Config{})
	if err != nil {
		return nil, err
	}
	w := &world{options: o, source: from, watch: watch}
	for _, r := range rules(o.learning) {
		w.juries = append(w.juries, &jury{name: r.name, new: r.new, members: map[string]rule{}})
	}
	if _, err := w.live(o.learning, wobble); err != nil {
		return nil, err
	}
	out := &outcome{seed: seed}
	for _, p := range phases {
		var both [2]piece
		if both[0], err = w.live(p.lasts, p.do); err != nil {
			return nil, err
		}
		w.source.recover()
		if both[1], err = w.live(o.rest, wobble); err != nil {
			return nil, err
		}
		out.pieces = append(out.pieces, both)
		if o.verbose {
			for i, part := range both {
				fmt.Fprintf(os.Stderr, "seed %d %s part %d: %v, reopened at %v, closed at %d, up for %d s\n", seed, p.name, i, part.alerts[ours], part.again, part.closed, part.up[ours])
			}
		}
	}
	return out, nil
}

// live lets so many scaled seconds pass.
func (w *world) live(seconds int, do func(*service, int)) (piece, error) {
	p := piece{alerts: map[string][]alert{}, up: map[string]int{}, closed: -1}
	w.others.begin()
	for i := range seconds {
		s, err := w.source.next(func(s *service) { do(s, i) })
		if err != nil {
			return p, err
		}
		w.ask(i, s, &p)
	}
	if p.busy = w.others.used(); w.replay != "" {
		p.busy = -1 // that is about today
	}
	p.open = w.open
	return p, nil
}

// ask lets everybody see a second of the phase.
func (w *world) ask(i int, s *runtimeinfo.Snapshot, p *piece) {
	bands, events := w.watch.Judge(s)
	for _, e := range events {
		switch e.Name {
		case "baseline.anomaly.opened":
			p.alerts[ours] = append(p.alerts[ours], alert{i, e.Message})
			w.open = true
		case "baseline.anomaly.reopened": // the same incident, but soon after one trouble it may be the next
			p.again = append(p.again, i)
			w.open = true
		case "baseline.anomaly.closed":
			p.closed, w.open = i, false
		}
	}
	if w.open {
		p.up[ours]++
	}
	for _, j := range w.juries {
		if begun, why := j.ask(bands); begun {
			p.alerts[j.name] = append(p.alerts[j.name], alert{i, why})
		}
		if j.up {
			p.up[j.name]++
		}
	}
}
