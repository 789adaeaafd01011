// SPDX-License-Identifier: Apache-2.0

//go:build !linux && (!darwin || cgo)

package host

// startsPrograms is false: gopsutil calls the system directly.
const startsPrograms = false
