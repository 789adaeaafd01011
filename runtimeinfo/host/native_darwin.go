// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package host

// startsPrograms says that gopsutil, built for macOS without cgo, runs ps and
// vm_stat to learn about processes and memory.
const startsPrograms = true
