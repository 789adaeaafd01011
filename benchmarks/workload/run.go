// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

type options struct {
	tick     time.Duration // real time of a scaled second
	learning int           // seconds before the first phase
	recovery int           // seconds after each phase, in which its alert must end and no other begin
	verbose  bool
	record   string // directory, empty for none
	replay   string // directory, empty for none
}

// alert is an alert of gmpulse or of another rule.
type alert struct {
	second  int // of its phase
	why     string
	warning bool // the agent would report it as WARN, not as INFO
}

// piece is the result of a phase, or of the recovery time after it.
type piece struct {
	alerts map[string][]alert // by rule
	up     map[string]int     // seconds during which an alert was up, by rule
	again  []int              // seconds at which an alert of gmpulse was reopened
	closed int                // second at which gmpulse's alert ended; -1 if it did not
	open   bool               // whether an alert of gmpulse is open at the end
	busy   float64            // mean number of CPUs that other processes used; negative if unknown
}

// outcome is the result of a run. Each phase has two pieces: the phase itself and the
// recovery time after it.
type outcome struct {
	seed   uint64
	pieces [][2]piece
}

// gmpulse is the name of the baselines among the rules.
const gmpulse = "gmpulse"

// runner runs phases on a source and evaluates all rules.
type runner struct {
	*options
	source   source
	watch    *baseline.Watch
	alerters []*alerter
	open     bool
	others   others
}

// source provides a snapshot for each scaled second of a service: a live service or a
// recording.
type source interface {
	// next calls do, lets a scaled second pass and returns its snapshot.
	next(do func(*service)) (*runtimeinfo.Snapshot, error)
	// recover ends the fault of a phase.
	recover()
}

func run(o *options, seed uint64, phases []phase, from source) (*outcome, error) {
	watch, err := baseline.New(baseline.Config{})
	if err != nil {
		return nil, err
	}
	w := &runner{options: o, source: from, watch: watch}
	for _, r := range rules(o.learning) {
		w.alerters = append(w.alerters, &alerter{name: r.name, new: r.new, rules: map[string]rule{}})
	}
	if _, err := w.run(o.learning, normalTraffic); err != nil {
		return nil, err
	}
	out := &outcome{seed: seed}
	for _, p := range phases {
		var both [2]piece
		if both[0], err = w.run(p.lasts, p.do); err != nil {
			return nil, err
		}
		w.source.recover()
		if both[1], err = w.run(o.recovery, normalTraffic); err != nil {
			return nil, err
		}
		out.pieces = append(out.pieces, both)
		if o.verbose {
			for i, part := range both {
				fmt.Fprintf(os.Stderr, "seed %d %s part %d: %v, reopened at %v, closed at %d, up for %d s\n", seed, p.name, i, part.alerts[gmpulse], part.again, part.closed, part.up[gmpulse])
			}
		}
	}
	return out, nil
}

// run lets so many scaled seconds pass, calls do in each, and evaluates all rules.
func (w *runner) run(seconds int, do func(*service, int)) (piece, error) {
	p := piece{alerts: map[string][]alert{}, up: map[string]int{}, closed: -1}
	w.others.begin()
	for i := range seconds {
		s, err := w.source.next(func(s *service) { do(s, i) })
		if err != nil {
			return p, err
		}
		w.evaluate(i, s, &p)
	}
	if p.busy = w.others.used(); w.replay != "" {
		p.busy = -1 // the recording was made at another time
	}
	p.open = w.open
	return p, nil
}

// evaluate evaluates gmpulse and all rules on the snapshot of a second.
func (w *runner) evaluate(i int, s *runtimeinfo.Snapshot, p *piece) {
	bands, events := w.watch.Judge(s)
	for _, e := range events {
		switch e.Name {
		case "baseline.anomaly.opened":
			p.alerts[gmpulse] = append(p.alerts[gmpulse], alert{i, e.Message, e.Severity >= slog.LevelWarn})
			w.open = true
		case "baseline.anomaly.reopened": // the same incident for gmpulse, but it may be caused by the next fault
			p.again = append(p.again, i)
			w.open = true
		case "baseline.anomaly.closed":
			p.closed, w.open = i, false
		}
	}
	if w.open {
		p.up[gmpulse]++
	}
	for _, a := range w.alerters {
		if begun, signal := a.evaluate(bands); begun {
			p.alerts[a.name] = append(p.alerts[a.name], alert{i, signal, true})
		}
		if a.up {
			p.up[a.name]++
		}
	}
}
