// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package agent

// fileLimit returns how many files the process may have open, or 0 if that is unknown.
func fileLimit() uint64 { return 0 }
