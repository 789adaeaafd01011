// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// plan is how long to measure.
type plan struct {
	settle time.Duration // not measured, after each switch
	block  time.Duration
	least  int           // pairs of blocks
	most   time.Duration // for all pairs
	half   float64       // half-width of the interval of the ratio that ends the measurement
	scale  float64       // of the rates
	record bool          // CPU profiles of the blocks
}

// side is one of two server processes of the same application with the same load.
type side struct {
	*process
	load *load
}

// block is what a side used for each unit in a block.
type block struct {
	cpu         float64 // seconds
	bytes       float64
	collections float64 // in the block
	core        float64 // share of one core
}

// result compares the blocks with the agent to those without.
type result struct {
	off   block // means
	on    block
	ratio interval
	late  float64 // share of the sends that began late
}

// compare measures a crossover: two server processes run side by side under the same load. The agent is on
// in one of them, then in the other. A pair is two such blocks. What the machine's other tenants do
// affects both processes at the same time, and what distinguishes the processes, such as the
// layout of their memory, affects both states.
func compare(a app, c config, p plan) (r result, err error) {
	var sides [2]*side
	for i := range sides {
		s, err := newSide(a, c, p)
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		sides[i] = s
	}
	var logs []float64
	begin := time.Now()
	for pair := 0; pair < p.least || time.Since(begin) < p.most && r.ratio.half() > p.half; pair++ {
		first := pair % 2 // ABBA
		log := 0.0
		for _, on := range []int{first, 1 - first} {
			blocks, err := measure(sides, on, p)
			if err != nil {
				return r, err
			}
			log += math.Log(blocks[on].cpu/blocks[1-on].cpu) / 2
			r.on = r.on.plus(blocks[on])
			r.off = r.off.plus(blocks[1-on])
		}
		logs = append(logs, log)
		r.ratio = ratioInterval(logs)
	}
	n := float64(2 * len(logs))
	r.on, r.off = r.on.times(1/n), r.off.times(1/n)
	for _, s := range sides {
		r.late += float64(s.load.late.Load()) / a.rate / time.Since(begin).Seconds() / 2
	}
	return r, nil
}

func newSide(a app, c config, p plan) (*side, error) {
	process, err := start(a, c)
	if err != nil {
		return nil, err
	}
	l, err := startLoad(a, process.address, a.rate*p.scale)
	if err != nil {
		return nil, errors.Join(err, process.stop())
	}
	return &side{process: process, load: l}, nil
}

func (s *side) stop() error {
	s.load.stop()
	return s.process.stop()
}

// measure returns a block of each side, with the agent on in one of them.
func measure(sides [2]*side, on int, p plan) (blocks [2]block, err error) {
	commands := [2]string{"off", "off"}
	commands[on] = "on"
	if err := doBoth(sides, commands); err != nil {
		return blocks, err
	}
	time.Sleep(p.settle)
	if p.record {
		if err := doBoth(sides, [2]string{"profile", "profile"}); err != nil {
			return blocks, err
		}
		defer func() { err = errors.Join(err, doBoth(sides, [2]string{"profiled", "profiled"})) }()
	}
	var before, after [2]reading
	var units [2]uint64
	begin := time.Now()
	for i, s := range sides {
		if before[i], err = s.do("read"); err != nil {
			return blocks, err
		}
		units[i] = s.load.units.Load()
	}
	time.Sleep(p.block)
	for i, s := range sides {
		if after[i], err = s.do("read"); err != nil {
			return blocks, err
		}
		units[i] = s.load.units.Load() - units[i]
		if err := s.load.err(); err != nil {
			return blocks, fmt.Errorf("load: %w", err)
		}
		blocks[i] = blockOf(before[i], after[i], units[i], time.Since(begin))
	}
	return blocks, nil
}

// doBoth sends a command to each side.
func doBoth(sides [2]*side, commands [2]string) error {
	var errs []error
	for i, s := range sides {
		_, err := s.do(commands[i])
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func blockOf(before, after reading, units uint64, took time.Duration) block {
	cpu, n := after.CPU-before.CPU, float64(units)
	return block{
		cpu:         cpu / n,
		bytes:       float64(after.Allocated-before.Allocated) / n,
		collections: float64(after.Collections - before.Collections),
		core:        cpu / took.Seconds(),
	}
}

func (b block) plus(c block) block {
	return block{b.cpu + c.cpu, b.bytes + c.bytes, b.collections + c.collections, b.core + c.core}
}

func (b block) times(f float64) block {
	return block{b.cpu * f, b.bytes * f, b.collections * f, b.core * f}
}
