// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package spool

import (
	"fmt"
	"os"
)

const openFlags = 0

// checkOwner returns an error that wraps errForeign unless f is a regular file. It
// does not check the owner on this platform.
func checkOwner(f *os.File) error {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: not a regular file", errForeign)
	}
	return err
}
