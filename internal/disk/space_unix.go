// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package disk

import "syscall"

// space returns the bytes of the file system of dir: those available to this process, and all.
func space(dir string) (free, whole int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	block := int64(s.Bsize) //nolint:unconvert // 32 bits on darwin
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil
}
