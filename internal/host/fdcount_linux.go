// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// maxFDs limits how many entries of /proc/self/fd are listed on kernels before 6.2, which
// takes some milliseconds. With more open files the value is absent there.
const maxFDs = 16384

// fdCount counts the open descriptors of the process, including its own. Since Linux 6.2 the
// number is the size of the directory, so one fstat is enough.
type fdCount struct {
	path string
	live bool // the directory is in procfs
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
			put(s, hostfield.ProcessFDs, float64(st.Size))
			return nil
		}
	}
	n, err := c.list()
	if err != nil {
		return errors.Join(err, c.close())
	}
	if n <= maxFDs {
		put(s, hostfield.ProcessFDs, float64(n))
	}
	return nil
}

// list counts the entries and stops above maxFDs.
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
