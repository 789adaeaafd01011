// SPDX-License-Identifier: Apache-2.0

//go:build unix

package agent

import "syscall"

// fileLimit returns how many files the process may have open, or 0 if that is unknown.
func fileLimit() uint64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return uint64(r.Cur) //nolint:unconvert // signed on some systems
}
