//go:build !unix

package runtimeinfo

import "math"

// processCPU is not known here.
func processCPU() float64 { return math.NaN() }
