// SPDX-License-Identifier: Apache-2.0

//go:build !race

package testutil

// RaceEnabled reports whether the race detector is compiled in. It makes code
// slower and adds allocations, so tests that measure either are skipped.
const RaceEnabled = false
