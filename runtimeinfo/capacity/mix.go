// SPDX-License-Identifier: Apache-2.0

package capacity

import "math"

// kinds is how many kinds of requests are told apart. Names share them by hash:
// two that fall together are one kind, and if they cost differently the windows
// scatter, which the confidence tells.
const kinds = 16

// mix is the share of each kind in the requests of a window; all zero when
// there were none.
type mix [kinds]float32

// kind is the hash of a name (FNV-1a), the same in every process.
func kind(name string) int {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return int((h ^ h>>16) % kinds)
}

// mixOf is the mix of what ended between two counts, and how far from the true
// mix chance puts one of so few requests.
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

// likeness is how much a window counts for another mix: 1 for the same, 0 where
// a quarter of the requests or more are of another kind. A window without
// requests tells about the background, whatever the mix.
func (w *window) likeness(now *mix) float64 {
	const unlike = 0.25
	if w.requests == 0 {
		return 1
	}
	var d float32
	for i, share := range &w.mix {
		d += max(share-now[i], 0) // half of the sum of |p-q|, for both sum to 1
	}
	if d == 0 {
		return 1
	}
	like := 1 - max(0, float64(d)-w.noise)/unlike
	return max(0, like) * max(0, like)
}

// blend is the mix of now: that of the last few windows.
type blend struct {
	mix    mix
	weight float64
}

func (b *blend) add(w *window) {
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
