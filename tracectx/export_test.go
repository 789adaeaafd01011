// SPDX-License-Identifier: Apache-2.0

package tracectx

import "github.com/gmpulse/gmpulse/runtimeinfo"

// Add adds a snapshot as Analyze does.
func (h *History) Add(s *runtimeinfo.Snapshot) { h.add(s) }
