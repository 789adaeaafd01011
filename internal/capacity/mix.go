// SPDX-License-Identifier: Apache-2.0

package capacity

import "math"

// kinds is the number of kinds of requests. A name has a kind by its hash. If names with different
// costs share a kind, the windows scatter and the confidence is lower.
const kinds = 16

// mix has the share of each kind in the requests of a window, zeros if there were none.
type mix [kinds]float32

// kind returns the kind of a name: its FNV-1a hash.
func kind(name string) int {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return int((h ^ h>>16) % kinds)
}

// mixOf returns the mix of the requests between two counts, and the expected distance of a
// random sample of this size from the true mix.
func mixOf(from, to *[kinds]uint64) (m mix, noise float64) {
	var n float64
	for i := range to {
		if to[i] > from[i] {
			n += float64(to[i] - from[i])
		}
	}
	if n == 0 {
		return m, 0
	}
	var squares float64
	for i := range to {
		if to[i] > from[i] {
			share := float64(to[i]-from[i]) / n
			m[i] = float32(share)
			squares += share * share
		}
	}
	// The mean of half the sum of |p̂-p| is √((k-1)/2πn) for k equal shares;
	// 1/squares is how many equal shares are as uneven.
	return m, math.Sqrt((1/squares - 1) / (2 * math.Pi * n))
}

// likeness returns the weight of a window for another mix: 1 for the same mix, 0 if a quarter of
// the requests or more are of other kinds. A window without requests has weight 1: it measures
// the background.
func (w *window) likeness(now *mix) float64 {
	const unlike = 0.25
	if w.requests == 0 {
		return 1
	}
	var d float32
	for i, share := range &w.mix {
		d += max(share-now[i], 0) // half the sum of |p-q|, because both sum to 1
	}
	if d == 0 {
		return 1
	}
	like := 1 - max(0, float64(d)-w.noise)/unlike
	return max(0, like) * max(0, like)
}

// recentMix is the mix of the last few windows.
type recentMix struct {
	mix    mix
	weight float64
}

func (b *recentMix) add(w *window) {
	const fade, enough = 0.7, 50
	if w.requests == 0 {
		return
	}
	weight := min(1, w.requests/enough)
	b.weight = b.weight*fade + weight
	share := float32(weight / b.weight)
	for i := range b.mix {
		b.mix[i] += share * (w.mix[i] - b.mix[i])
	}
}
