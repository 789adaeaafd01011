// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package host

// startsPrograms is true: for macOS without cgo, gopsutil runs ps and vm_stat to read process
// and memory values.
const startsPrograms = true
