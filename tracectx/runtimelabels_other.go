// SPDX-License-Identifier: Apache-2.0

//go:build !gc || go1.28

package tracectx

import "unsafe"

// canReadLabels reports whether runtimeLabels works.
const canReadLabels = false

// runtimeLabels returns nil: this toolchain has not been tried with the function that
// runtimelabels_gc.go links to. Spans that end elsewhere are then told from others by
// the address of their stack alone, and the labels of a goroutine by its context.
func runtimeLabels() unsafe.Pointer { return nil }
