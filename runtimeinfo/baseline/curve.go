// SPDX-License-Identifier: Apache-2.0

package baseline

import "math"

const (
	// loadSlots cover loads up to 65,000 a second; a slot is half a doubling.
	loadSlots = 32
	// minSamples is how many samples a slot needs before its mean is used.
	minSamples = 20
	// familiarSamples is how many it needs, at one a second, before its load is familiar.
	familiarSamples = 600
	// A slot with fewer than youngSamples is reset by a sample absurdDistance e-folds away:
	// either the sample or the mean is wrong.
	youngSamples   = 3 * minSamples
	absurdDistance = 3
	// growthPerSlot is proportional growth from one slot to the next, in e-folds.
	growthPerSlot = math.Ln2 / 2
)

// curve is the mean of a signal under each load, in e-folds.
type curve struct {
	Mean [loadSlots]float32
	N    [loadSlots]uint16
}

// load is the load under which a signal is judged.
type load struct {
	place  float64 // on the curves, see loadPlace
	novel  bool    // rarely seen before
	anchor int8    // if novel: the nearest lower familiar slot, or -1
}

// loadPlace returns the place on a curve of a load in requests per second.
func loadPlace(load float64) float64 {
	return max(0, min(loadSlots-1, 2*math.Log2(1+max(0, load))))
}

// at returns the load at a place. The curve must learn every tick.
func (c *curve) at(place float64) load {
	near := int(place + 0.5)
	l := load{place: place, anchor: -1, novel: c.N[near] < familiarSamples}
	for slot := near - 1; l.novel && slot >= 0; slot-- {
		if c.N[slot] >= familiarSamples {
			l.anchor = int8(slot)
			break
		}
	}
	return l
}

func (c *curve) usable(slot int) bool {
	return slot >= 0 && slot < loadSlots && c.N[slot] >= minSamples
}

// expectation is what a curve expects under a load.
type expectation struct {
	value float64 // the expected value; from other loads if that is higher
	known bool
	own   float64 // the mean under this load
	seen  bool    // own is valid
}

// expect returns the expectation under a load. For a load without samples it comes from the
// nearest lower load that is familiar, plus growth times the growth of the load; otherwise
// from the nearest higher load. While a load is novel its own mean can only raise the
// expectation: a queue grows faster as its server saturates, so few samples understate it.
func (c *curve) expect(l load, growth float64) (e expectation) {
	near := int(l.place + 0.5)
	if e.seen = c.usable(near); e.seen {
		e.own = c.interpolate(near, l.place)
		e.value, e.known = e.own, true
	}
	if e.seen && !l.novel {
		return e
	}
	below := int(l.anchor)
	if below < 0 && !e.seen {
		below = near - 1
	}
	for below >= 0 && !c.usable(below) {
		below--
	}
	if below >= 0 {
		allowed := float64(c.Mean[below]) + growth*growthPerSlot*max(0, l.place-float64(below)-0.5)
		if !e.seen || allowed > e.value {
			e.value, e.known = allowed, true
		}
		return e
	}
	for above := near + 1; !e.known && above < loadSlots; above++ {
		if c.usable(above) {
			e.value, e.known = float64(c.Mean[above]), true
		}
	}
	return e
}

// interpolate interpolates between a slot and its neighbor.
func (c *curve) interpolate(near int, place float64) float64 {
	neighbor, distance := near+1, place-float64(near)
	if distance < 0 {
		neighbor, distance = near-1, -distance
	}
	x := float64(c.Mean[near])
	if c.usable(neighbor) {
		x += distance * float64(c.Mean[neighbor]-c.Mean[near])
	}
	return x
}

// learn adds x, for which e was expected. rate is the minimum weight of a sample.
func (c *curve) learn(place, x float64, e *expectation, rate float64) {
	near := int(place + 0.5)
	step := x - float64(c.Mean[near])
	if c.N[near] < youngSamples && math.Abs(step) > absurdDistance {
		c.N[near] = 0
	} else if e.seen { // limits the effect of one absurd sample
		step = max(-1, min(1, x-e.own))
	}
	if c.N[near] < math.MaxUint16 {
		c.N[near]++
	}
	c.Mean[near] += float32(max(rate, 1/float64(c.N[near])) * step)
}

// shift adds by to every mean.
func (c *curve) shift(by float64) {
	for i := range c.Mean {
		c.Mean[i] += float32(by)
	}
}
