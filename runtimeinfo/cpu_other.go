// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package runtimeinfo

import "math"

// processCPU is not known here.
func processCPU() float64 { return math.NaN() }
