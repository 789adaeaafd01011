// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package host

// ContainerMemory returns false: this platform has no control groups.
func ContainerMemory() (limit, used float64, ok bool) { return 0, 0, false }
