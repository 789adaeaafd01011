// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"time"
)

// The state file: a line that says what it is, a header, a record for each signal
// and a checksum over all of it. Little-endian; records have a fixed size.
const (
	stateMagic   = "gmpulse baselines 2\n"
	saveInterval = 5 * time.Minute
	// maxStored bounds what is kept of signals that are no longer seen.
	maxStored = 128
	maxName   = 512
	// maxAge is how old a state may be and still tell what is normal.
	maxAge = 30 * 24 * time.Hour
)

// header precedes the records.
type header struct {
	Saved      int64  // Unix seconds
	RecordSize uint32 // another size is another version
	Records    uint32
}

// stored is what is kept of one signal.
type stored struct {
	Learned learned
	Minute  seriesState
}

var errState = errors.New("damaged, or of another version")

// Run writes the state file now and then, and when ctx is done; without one it
// returns at once.
func (w *Watch) Run(ctx context.Context) {
	if w.config.StateFile == "" || !w.awaitState(ctx) {
		return
	}
	ticker := time.NewTicker(saveInterval)
	defer ticker.Stop()
	failing := false
	save := func() {
		err := w.save()
		if failed := err != nil; failed != failing {
			failing = failed
			if failed {
				w.config.Logger.Warn("gmpulse: what is normal cannot be kept", slog.String("file", w.config.StateFile), slog.Any("error", err))
			} else {
				w.config.Logger.Info("gmpulse: what is normal is kept again", slog.String("file", w.config.StateFile))
			}
		}
	}
	for {
		select {
		case <-ctx.Done():
			save()
			return
		case <-ticker.C:
			save()
		}
	}
}

// save writes the state file: to a temporary one beside it, which then takes its
// place, so that a crash or a full disk leaves the last one whole.
func (w *Watch) save() error {
	b, err := encodeState(w.remember(), time.Now())
	if err != nil {
		return err
	}
	return replaceFile(w.config.StateFile, b)
}

// remember copies what is to be kept, so that the tick waits for a copy only.
func (w *Watch) remember() map[string]*stored {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string]*stored, len(w.trackers)+len(w.stored))
	for _, t := range w.trackers {
		if t.Scale > 0 {
			all[t.name] = &stored{t.learned, t.minute.seriesState}
		}
	}
	for name, s := range w.stored { // root spans that have not come yet
		if all[name] == nil && len(all) < maxStored {
			all[name] = s
		}
	}
	return all
}

// stateWait is how long New waits for the state file: a file system may hang.
const stateWait = 250 * time.Millisecond

// stateRead is the state file being read, on a goroutine of its own.
type stateRead struct {
	done chan struct{}
	all  map[string]*stored
	err  error
}

// restore reads the state file, if there is one. What is not there in time comes with
// Run.
func (w *Watch) restore() {
	if w.config.StateFile == "" {
		return
	}
	r := &stateRead{done: make(chan struct{})}
	go func() { // Run waits for it
		defer close(r.done)
		r.all, r.err = readState(w.config.StateFile, time.Now())
	}()
	t := time.NewTimer(stateWait)
	defer t.Stop()
	select {
	case <-r.done:
		w.restored(r)
	case <-t.C:
		w.reading = r
		w.config.Logger.Warn("gmpulse: the file with what is normal cannot be read yet", slog.String("file", w.config.StateFile))
	}
}

// restored takes what was read.
func (w *Watch) restored(r *stateRead) {
	switch {
	case errors.Is(r.err, fs.ErrNotExist):
	case r.err != nil:
		w.config.Logger.Warn("gmpulse: what is normal is learned anew", slog.String("file", w.config.StateFile), slog.Any("error", r.err))
	default:
		w.stored = r.all
	}
}

// awaitState waits for a state file that was late, and gives the trackers what it has.
// Until then nothing is written: the file may hold weeks. It is false when ctx is done
// first.
func (w *Watch) awaitState(ctx context.Context) bool {
	if w.reading == nil {
		return true
	}
	select {
	case <-w.reading.done:
	case <-ctx.Done():
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restored(w.reading)
	w.reading = nil
	for _, t := range w.trackers {
		w.recall(t)
	}
	return true
}

// recall gives a tracker what the state file has for it.
func (w *Watch) recall(t *tracker) {
	s := w.stored[t.name]
	if s == nil {
		return
	}
	scale := t.Scale
	t.learned, t.minute.seriesState = s.Learned, s.Minute
	t.grace = startUp
	t.Fast.forgive()
	t.Slow.forgive()
	if scale > 0 && t.Scale != scale { // the table has another one: folded values are not comparable
		t.learned, t.minute.seriesState = learned{Scale: scale}, seriesState{}
	}
}

func encodeState(all map[string]*stored, now time.Time) ([]byte, error) {
	b := []byte(stateMagic)
	h := header{Saved: now.Unix(), RecordSize: uint32(binary.Size(stored{})), Records: uint32(len(all))}
	b, err := binary.Append(b, binary.LittleEndian, h)
	if err != nil {
		return nil, err
	}
	for name, s := range all {
		name = name[:min(len(name), maxName)]
		b = binary.LittleEndian.AppendUint16(b, uint16(len(name)))
		b = append(b, name...)
		if b, err = binary.Append(b, binary.LittleEndian, s); err != nil {
			return nil, err
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)), nil
}

// maxState is more than a state file ever has.
const maxState = 2*maxStored<<12 + 1<<16

func readState(path string, now time.Time) (map[string]*stored, error) {
	b, err := readFile(path, maxState)
	if err != nil {
		return nil, err
	}
	return decodeState(b, now)
}

// decodeState is the inverse of encodeState. It trusts nothing.
func decodeState(b []byte, now time.Time) (map[string]*stored, error) {
	body, ok := bytes.CutPrefix(b, []byte(stateMagic))
	if !ok || len(body) < 4 || crc32.ChecksumIEEE(b[:len(b)-4]) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, errState
	}
	body = body[:len(body)-4]
	var h header
	n, err := binary.Decode(body, binary.LittleEndian, &h)
	if err != nil || int(h.RecordSize) != binary.Size(stored{}) {
		return nil, errState
	}
	body = body[n:]
	if age := now.Sub(time.Unix(h.Saved, 0)); age > maxAge {
		return nil, fmt.Errorf("it is %v old", age.Round(time.Hour))
	}
	all := map[string]*stored{}
	for range h.Records {
		if len(body) < 2 {
			return nil, errState
		}
		size := int(binary.LittleEndian.Uint16(body))
		if body = body[2:]; size > maxName || len(body) < size {
			return nil, errState
		}
		name := string(body[:size])
		s := &stored{}
		n, err := binary.Decode(body[size:], binary.LittleEndian, s)
		if err != nil || !s.sound() {
			return nil, errState
		}
		all[name], body = s, body[size+n:]
	}
	if len(body) > 0 {
		return nil, errState
	}
	return all, nil
}
