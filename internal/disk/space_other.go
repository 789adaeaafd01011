// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !darwin

package disk

// space returns zeros: the space is unknown.
func space(string) (free, whole int64, err error) { return 0, 0, nil }
