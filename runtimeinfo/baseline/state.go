// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/gmpulse/gmpulse/internal/disk"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/rarity"
)

// The state file has a magic line, a header, a record of fixed size for each signal, and a
// CRC-32 of all of it. Numbers are little-endian.
const (
	stateMagic   = "gmpulse baselines 2\n"
	saveInterval = 5 * time.Minute
	// maxStored limits the records that are kept of signals not seen any more.
	maxStored = 128
	maxName   = 512
	// maxAge is the age after which a state is not used.
	maxAge = 30 * 24 * time.Hour
	// maxStateBytes is larger than any state file.
	maxStateBytes = 2*maxStored<<12 + 1<<16
	// stateTimeout is how long New waits for the state file: the file system may hang.
	stateTimeout = 250 * time.Millisecond
	// readInterval is the time until another attempt to read a state file.
	readInterval = time.Second
)

// header precedes the records.
type header struct {
	Saved      int64  // Unix seconds
	RecordSize uint32 // differs between versions
	Records    uint32
}

// stored is the record of one signal.
type stored struct {
	Learned learned
	Minute  rarity.State
}

var errState = errors.New("damaged, or of another version")

// unusableSuffix is appended to the name of a state file that this version cannot use. After a
// rollback it is the file of a newer version, which may be renamed back.
const unusableSuffix = ".unusable"

// Run writes the state file every five minutes and when ctx is done. Without a state file it
// returns at once.
func (w *Watch) Run(ctx context.Context) {
	if w.config.StateFile == "" {
		return
	}
	failing := false
	for ended := false; !ended; {
		wait := saveInterval
		if w.unread {
			wait = readInterval
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			ended = true
		}
		err := w.save()
		if failed := err != nil; failed != failing {
			failing = failed
			if failed {
				w.config.Logger.Warn("gmpulse: baselines cannot be saved", slog.String("file", w.config.StateFile), slog.Any("error", err))
			} else {
				w.config.Logger.Info("gmpulse: baselines are saved again", slog.String("file", w.config.StateFile))
			}
		}
	}
}

// save replaces the state file. If the contents of the file are unknown, save reads it first, and
// keeps it if that fails: it may have weeks of data.
func (w *Watch) save() error {
	if w.unread {
		if err := w.restore(); w.unread {
			return fmt.Errorf("the state of an earlier process is kept, but cannot be read: %w", err)
		}
	}
	b, err := encodeState(w.copyState(), time.Now())
	if err != nil {
		return err
	}
	if w.unusable {
		if err := w.keepUnusable(); err != nil {
			return err
		}
	}
	return replaceFile(w.config.StateFile, b)
}

// keepUnusable renames the state file.
func (w *Watch) keepUnusable() error {
	kept := w.config.StateFile + unusableSuffix
	err := os.Rename(w.config.StateFile, kept)
	if err == nil {
		w.config.Logger.Warn("gmpulse: the baselines of another version, or damaged ones, are kept in another file", slog.String("file", kept))
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		w.unusable = false
		return nil
	}
	return err
}

// copyState copies the state, so that a tick waits for a copy and not for the disk.
func (w *Watch) copyState() map[string]*stored {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string]*stored, len(w.trackers)+len(w.stored))
	for _, t := range w.trackers {
		if t.Scale > 0 {
			all[t.name] = &stored{t.learned, t.minute.State}
		}
	}
	for name, s := range w.stored { // root spans that have not occurred yet
		if all[name] == nil && len(all) < maxStored {
			all[name] = s
		}
	}
	return all
}

// stateRead is what a read of the state file returned.
type stateRead struct {
	all map[string]*stored
	err error
}

// restore reads the state file and passes its contents to the trackers. A read that does not end in
// time goes on, and the next restore uses its result. Then, or if the disk fails, unread is true.
// A file that is damaged, of another version or missing has no contents.
func (w *Watch) restore() error {
	r, err := w.reader.Poll(stateTimeout, func() stateRead {
		all, err := readState(w.config.StateFile, time.Now())
		return stateRead{all, err}
	})
	err = cmp.Or(err, r.err)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	_, failed := errors.AsType[*fs.PathError](err)
	w.unread = failed || errors.Is(err, guard.ErrPending)
	w.unusable = errors.Is(err, errState)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stored = r.all
	for _, t := range w.trackers {
		w.restoreTracker(t)
	}
	return nil
}

// restoreTracker sets what the state file has for a tracker.
func (w *Watch) restoreTracker(t *tracker) {
	s := w.stored[t.name]
	if s == nil {
		return
	}
	scale := t.Scale
	t.learned, t.minute.State = s.Learned, s.Minute
	t.startLeft = startTime
	t.Fast.reset()
	t.Slow.reset()
	if scale > 0 && t.Scale != scale { // this version has another scale: folded values differ
		t.learned, t.minute.State = learned{Scale: scale}, rarity.State{}
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

func readState(path string, now time.Time) (map[string]*stored, error) {
	b, err := disk.ReadFile(path, maxStateBytes)
	if err != nil {
		return nil, err
	}
	return decodeState(b, now)
}

// decodeState is the inverse of encodeState. It checks every length and every number.
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
		if err != nil || !s.valid() {
			return nil, errState
		}
		all[name], body = s, body[size+n:]
	}
	if len(body) > 0 {
		return nil, errState
	}
	return all, nil
}
