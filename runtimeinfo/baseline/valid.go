// SPDX-License-Identifier: Apache-2.0

package baseline

import "github.com/gmpulse/gmpulse/internal/rarity"

// A checksum does not tell who wrote a state file. A number in it that is not finite or out
// of range would later be an index out of range.
const (
	maxFolded = 1e4 // e-folds; fold returns at most 60
	maxNumber = 1e31
)

// valid reports whether a tracker can have written the state.
func (s *stored) valid() bool {
	l := &s.Learned
	return rarity.Within(l.Scale, 0, 1e200) && l.Scale > 0 && rarity.Within(l.Rare, 0, maxFolded) &&
		l.Fast.valid() && l.Slow.valid() && s.Minute.Valid()
}

func (c *cusum) valid() bool {
	for _, v := range c.Curve.Mean {
		if !rarity.Within(float64(v), -maxFolded, maxFolded) {
			return false
		}
	}
	return c.Seen.Valid() && c.Drift.Valid(maxFolded) && rarity.Within(c.Sum, 0, maxFolded) &&
		rarity.Within(c.Bar, 0, maxFolded) && rarity.Within(float64(c.Age), 0, maxNumber)
}
