package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
	"github.com/gmpulse/gmpulse/runtimeinfo/host"
	"github.com/gmpulse/gmpulse/tracectx"
)

type options struct {
	tick     time.Duration // that stands for a second
	learning int           // seconds that nobody is asked about
	rest     int           // seconds after every phase: an alert must end, and no other come
	verbose  bool
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
	busy   float64            // CPUs that others used, on average
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
	service   *service
	processor *tracectx.Processor
	reader    *runtimeinfo.Reader
	host      *host.Reader
	hosted    *host.Sample
	hostedAt  int
	watch     *baseline.Watch
	juries    []*jury
	start     time.Time
	second    int
	open      bool
	ticker    *time.Ticker
	others    others
}

func run(o *options, seed uint64, phases []phase) *outcome {
	w := newWorld(o, seed)
	defer w.ticker.Stop()
	defer w.service.stop()
	w.live(o.learning, wobble)
	out := &outcome{seed: seed}
	for _, p := range phases {
		var both [2]piece
		both[0] = w.live(p.lasts, p.do)
		w.service.recover()
		both[1] = w.live(o.rest, wobble)
		out.pieces = append(out.pieces, both)
		if o.verbose {
			for i, part := range both {
				fmt.Fprintf(os.Stderr, "seed %d %s part %d: %v, reopened at %v, closed at %d, up for %d s\n", seed, p.name, i, part.alerts[ours], part.again, part.closed, part.up[ours])
			}
		}
	}
	return out
}

func newWorld(o *options, seed uint64) *world {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		panic(err)
	}
	watch, err := baseline.New(baseline.Config{})
	if err != nil {
		panic(err)
	}
	w := &world{
		options: o, processor: p, watch: watch,
		service: newService(p),
		reader:  runtimeinfo.NewReader(runtimeinfo.Config{}),
		host:    host.NewReader(host.Config{Logger: slog.New(slog.DiscardHandler)}),
		start:   time.Now(),
		ticker:  time.NewTicker(o.tick),
	}
	for _, r := range rules(o.learning) {
		w.juries = append(w.juries, &jury{name: r.name, new: r.new, members: map[string]rule{}})
	}
	w.service.serve(rand.New(rand.NewPCG(seed, 2)))
	return w
}

// live lets so many scaled seconds pass.
func (w *world) live(seconds int, do func(*service, int)) piece {
	p := piece{alerts: map[string][]alert{}, up: map[string]int{}, closed: -1}
	w.others.begin()
	for i := range seconds {
		do(w.service, i)
		<-w.ticker.C
		w.tick(i, &p)
	}
	p.busy = w.others.used()
	p.open = w.open
	return p
}

// tick takes a sample and asks everybody.
func (w *world) tick(i int, p *piece) {
	w.second++
	if w.second%10 == 1 {
		w.hosted, w.hostedAt = w.host.Read(context.Background()), w.second
	}
	now := time.Now()
	spans := w.processor.Observe(now)
	var events []runtimeinfo.Event
	w.reader.Read(runtimeinfo.Tick{
		Time:     w.start.Add(time.Duration(w.second) * time.Second).Round(0),
		Lateness: max(0, now.Sub(w.start)-time.Duration(w.second)*w.options.tick) % w.options.tick,
		Host:     w.hosted,
		Spans:    &spans,
		Self:     runtimeinfo.Self{HostAge: time.Duration(w.second-w.hostedAt) * time.Second},
		Baselines: func(s *runtimeinfo.Snapshot) (bands []runtimeinfo.Band, _ []runtimeinfo.Event) {
			bands, events = w.watch.Judge(s, nil)
			return bands, nil
		},
	})
	bands := w.reader.Snapshot().Bands
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
