// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
)

// maxFDs bounds how many entries of /proc/self/fd are listed on kernels before
// 6.2; that takes some milliseconds. With more than this many open files the
// field is absent there.
const maxFDs = 16384

// fdCount counts the open descriptors of the process, its own among them. Since
// Linux 6.2 the size of the directory is that number, at the cost of one fstat
// however many there are.
type fdCount struct {
	path string
	live bool // only procfs gives its directories such a size
	dir  *os.File
}

func (c *fdCount) read(_ context.Context, s *Sample) error {
	if c.dir == nil {
		dir, err := os.Open(c.path)
		if err != nil {
			return err
		}
		c.dir = dir
	}
	if c.live {
		var st syscall.Stat_t
		if err := syscall.Fstat(int(c.dir.Fd()), &st); err != nil {
			return errors.Join(err, c.close())
		}
		if st.Size > 0 {
			put(s, ProcessFDs, float64(st.Size))
			return nil
		}
	}
	n, err := c.list()
	if err != nil {
		return errors.Join(err, c.close())
	}
	if n <= maxFDs {
		put(s, ProcessFDs, float64(n))
	}
	return nil
}

// list counts the entries, but not further than just above maxFDs.
func (c *fdCount) list() (int, error) {
	if _, err := c.dir.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	n := 0
	for n <= maxFDs {
		names, err := c.dir.Readdirnames(1024)
		n += len(names)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (c *fdCount) close() error {
	if c.dir == nil {
		return nil
	}
	err := c.dir.Close()
	c.dir = nil
	return err
}
