// SPDX-License-Identifier: Apache-2.0

package baseline

import "math"

const (
	// loadSlots cover loads up to 65,000 a second, half a doubling each.
	loadSlots = 32
	// warm is how many samples a slot must have before it speaks for itself.
	warm = 20
	// established is how many it must have, at one a second, before its load is familiar.
	established = 600
	// young is up to how many it starts anew when one is absurdly far away, in
	// e-folds: either that one or those before were not meant.
	young  = 3 * warm
	absurd = 3
	// growthPerSlot is a proportional growth from one slot to the next, in e-folds.
	growthPerSlot = math.Ln2 / 2
)

// curve is what is usual under each load: the mean of the signal, in e-folds.
type curve struct {
	Mean [loadSlots]float32
	N    [loadSlots]uint16
}

// load is how much work a signal is judged under.
type load struct {
	place float64 // on the curves
	// novel tells that such a load was hardly ever seen; anchor is then the
	// nearest lower slot that is familiar, -1 if none is.
	novel  bool
	anchor int8
}

// loadPlace is where on the curve a load, in requests a second, lies.
func loadPlace(load float64) float64 {
	return max(0, min(loadSlots-1, 2*math.Log2(1+max(0, load))))
}

func (c *curve) warm(slot int) bool { return slot >= 0 && slot < loadSlots && c.N[slot] >= warm }

// expectation is what a curve says of a load.
type expectation struct {
	x     float64 // what may be: the greater of own and what is borrowed
	own   float64 // the mean of what was seen under this load, if seen
	known bool
	seen  bool
}

// expect returns what is usual under a load. Where nothing was seen yet it is
// borrowed: from the nearest lower load that is familiar, with an allowance of
// growth times as much as the load has grown beyond its slot; else from the nearest
// higher one. While a load is novel, what was seen under it already speaks for itself only
// upwards: a queue grows ever faster as its server fills up, so that the steps on
// the way tell too little.
func (c *curve) expect(l load, growth float64) (e expectation) {
	near := int(l.place + 0.5)
	if e.seen = c.warm(near); e.seen {
		e.own = c.between(near, l.place)
		e.x, e.known = e.own, true
	}
	if e.seen && !l.novel {
		return e
	}
	from := int(l.anchor)
	if from < 0 && !e.seen {
		from = near - 1
	}
	if below := c.warmBelow(from); below >= 0 {
		allowed := float64(c.Mean[below]) + growth*growthPerSlot*max(0, l.place-float64(below)-0.5)
		if !e.seen || allowed > e.x {
			e.x, e.known = allowed, true
		}
	} else if above := c.warmAbove(near); !e.known && above >= 0 {
		e.x, e.known = float64(c.Mean[above]), true
	}
	return e
}

// warmBelow is the nearest slot at or below one that speaks for itself, else -1.
func (c *curve) warmBelow(slot int) int {
	for ; slot >= 0 && !c.warm(slot); slot-- {
	}
	return slot
}

// warmAbove is the nearest slot above one that speaks for itself, else -1.
func (c *curve) warmAbove(slot int) int {
	for slot++; slot < loadSlots; slot++ {
		if c.warm(slot) {
			return slot
		}
	}
	return -1
}

// between interpolates from a slot to its neighbour.
func (c *curve) between(near int, place float64) float64 {
	beside, off := near+1, place-float64(near)
	if off < 0 {
		beside, off = near-1, -off
	}
	x := float64(c.Mean[near])
	if c.warm(beside) {
		x += off * float64(c.Mean[beside]-c.Mean[near])
	}
	return x
}

// at is the load at a place. Only a curve that learns at every tick can tell what
// is familiar.
func (c *curve) at(place float64) load {
	near := int(place + 0.5)
	l := load{place: place, anchor: -1, novel: c.N[near] < established}
	for slot := near - 1; l.novel && slot >= 0; slot-- {
		if c.N[slot] >= established {
			l.anchor = int8(slot)
			break
		}
	}
	return l
}

// learn takes in that x was seen at a place of which e was said; rate is how much
// the newest counts at the least.
func (c *curve) learn(place, x float64, e *expectation, rate float64) {
	near := int(place + 0.5)
	by := x - float64(c.Mean[near])
	if c.N[near] < young && math.Abs(by) > absurd {
		c.N[near] = 0 // what came before, or this, was not meant
	} else if e.seen { // one absurd sample moves it by no more than any other
		by = max(-1, min(1, x-e.own))
	}
	if c.N[near] < math.MaxUint16 {
		c.N[near]++
	}
	c.Mean[near] += float32(max(rate, 1/float64(c.N[near])) * by)
}

// shift moves the whole curve.
func (c *curve) shift(by float64) {
	for i := range c.Mean {
		c.Mean[i] += float32(by)
	}
}
