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
	f, err := os.OpenFile(d.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|openFlags, 0o600)
	if err != nil {
		return err
	}
	if err := checkOwner(f); err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = f.Write(line)
	return errors.Join(err, f.Close())
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
