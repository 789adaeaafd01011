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

// deadLetters is a file of what a backend refuses and a person may want to look
// at: a line of JSON for each snapshot. When it is full it becomes the older of
// two; what was in that is gone.
type deadLetters struct {
	path string
	max  int64
}

// letter is one line.
type letter struct {
	Time     time.Time        `json:"time"` // when it was given up
	Error    string           `json:"error"`
	Snapshot map[string]any   `json:"snapshot"`
	Events   []map[string]any `json:"events,omitempty"`
}

// write appends a snapshot and why it is there. Without a directory, nil, there
// is no file.
func (d *deadLetters) write(s *runtimeinfo.Snapshot, why string) error {
	if d == nil {
		return nil
	}
	l := letter{Time: time.Now(), Error: why, Snapshot: maps.Collect(exporters.Record(s))}
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
	if err := owned(f); err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = f.Write(line)
	return errors.Join(err, f.Close())
}

func (d *deadLetters) rotate(more int64) error {
	info, err := os.Stat(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Size()+more <= d.max {
		return err
	}
	return os.Rename(d.path, d.path+".1")
}

func (d *deadLetters) name() string {
	if d == nil {
		return "none without a directory"
	}
	return d.path
}
