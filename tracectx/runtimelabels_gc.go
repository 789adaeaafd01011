// SPDX-License-Identifier: Apache-2.0

//go:build gc && !go1.28

package tracectx

import "unsafe" // also for linkname

// canReadLabels reports whether runtimeLabels works.
const canReadLabels = true

// runtimeLabels returns the address of the calling goroutine's label set, or nil. Go
// 1.26 and 1.27 mark this symbol "do not remove or change the type signature"
// (go.dev/issue/67401), because github.com/cloudwego/localsession links to it. Go
// versions that were not tested yet use runtimelabels_other.go.
//
//go:linkname runtimeLabels runtime/pprof.runtime_getProfLabel
func runtimeLabels() unsafe.Pointer
