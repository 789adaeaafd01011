// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// deadLetterFile holds the snapshots that the backend refused, one JSON object a
// line. At maxBytes the file is renamed to path.1, which replaces the previous one.
// A nil deadLetterFile discards what is written to it.
type deadLetterFile struct {
	path     string
	maxBytes int64
}

// deadLetter is one line of the file.
type deadLetter struct {
	Time     time.Time        `json:"time"` // when the snapshot was dropped
	Error    string           `json:"error"`
	Snapshot map[string]any   `json:"snapshot"`
	Events   []map[string]any `json:"events,omitempty"`
}

func (d *deadLetterFile) write(s *runtimeinfo.Snapshot, reason string) error {
	if d == nil {
		return nil
	}
	l := deadLetter{Time: time.Now(), Error: reason, Snapshot: maps.Collect(exporters.FullRecord(s))}
	for i := range s.Events {
		l.Events = append(l.Events, maps.Collect(exporters.EventRecord(s, &s.Events[i])))
	}
	line, err := json.Marshal(l)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if err := d.rotate(int64(len(line))); err != nil {
		return err
	}
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|openFlags, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // the line is on disk
	return appendLine(f, line)
}

// appendLine writes a line to f and waits until it is on disk. After an error f is as before,
// so that the line can be written again, unless truncating it fails too.
func appendLine(f *os.File, line []byte) error {
	if err := checkOwner(f); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size := info.Size(); size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' { // a process was killed, or the power failed, in a write
			line = append([]byte{'\n'}, line...)
		}
	}
	_, err = f.Write(line)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		err = errors.Join(err, f.Truncate(info.Size()))
	}
	return err
}

// rotate renames the file if n more bytes do not fit.
func (d *deadLetterFile) rotate(n int64) error {
	info, err := os.Stat(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Size()+n <= d.maxBytes {
		return err
	}
	return os.Rename(d.path, d.path+".1")
}

func (d *deadLetterFile) name() string {
	if d == nil {
		return "none: no directory is configured"
	}
	return d.path
}
