// SPDX-License-Identifier: Apache-2.0

//go:build gc && !go1.28

package tracectx

import "unsafe" // for linkname too

// canReadLabels reports whether runtimeLabels works.
const canReadLabels = true

// runtimeLabels returns the address of the calling goroutine's label set, nil if it
// has none. Go 1.26 and 1.27 mark this symbol "do not remove or change the type
// signature" (go.dev/issue/67401), because github.com/cloudwego/localsession links to
// it. A Go release that nobody has tried yet is built without it, see
// runtimelabels_other.go.
//
//go:linkname runtimeLabels runtime/pprof.runtime_getProfLabel
func runtimeLabels() unsafe.Pointer
