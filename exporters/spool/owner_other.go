// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package spool

import (
	"fmt"
	"os"
)

const openFlags = 0

// owned returns an error that wraps errForeign unless the file is a regular one. Who
// may write it is not asked here.
func owned(f *os.File) error {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: it is no regular file", errForeign)
	}
	return err
}
