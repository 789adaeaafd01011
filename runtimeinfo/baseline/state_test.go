// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// knowledge returns a state with a few numbers set.
func knowledge() map[string]*stored {
	s := &stored{Learned: learned{Scale: 2, Rare: 1}}
	s.Learned.Fast.Age = 5000
	s.Learned.Fast.Curve.Mean[7] = 3.5
	s.Learned.Fast.Seen.Add(70)
	r := &s.Minute.Rankings[2]
	r.Current.Add(111)
	r.Top, r.Used = 52, true
	return map[string]*stored{"goroutines": s, "root_span.p99 GET /": {Learned: learned{Scale: 0.001}}}
}

func TestStateSurvivesEncoding(t *testing.T) {
	now := time.Now()
	b, err := encodeState(knowledge(), now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeState(b, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := knowledge()
	if len(got) != len(want) {
		t.Fatalf("%d signals, want %d", len(got), len(want))
	}
	for name := range want {
		if got[name] == nil || *got[name] != *want[name] {
			t.Errorf("%s: differs from what was written", name)
		}
	}
	if _, err := decodeState(b, now.Add(maxAge+time.Hour)); err == nil {
		t.Error("an old state is accepted")
	}
}

// sealed returns b with a valid checksum, which a fuzzer would not find.
func sealed(b []byte) []byte {
	b = bytes.Clone(b)
	if n := len(b) - 4; n >= 0 {
		binary.LittleEndian.PutUint32(b[n:], crc32.ChecksumIEEE(b[:n]))
	}
	return b
}

// A state is decoded completely or rejected. Judgements with a decoded state have finite
// bands.
func FuzzState(f *testing.F) {
	now := time.Unix(1.8e9, 0)
	good, err := encodeState(knowledge(), now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(stateMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = sealed(b)
		all, err := decodeState(b, now)
		if err != nil {
			return
		}
		again, err := encodeState(all, now)
		if err != nil || len(again) > len(b) { // of two of one name, one is taken
			t.Errorf("%d bytes decoded as a state of %d: %v", len(b), len(again), err)
		}
		r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
		for _, name := range slices.Sorted(maps.Keys(all))[:min(len(all), 3)] {
			useState(t, all[name], now, r)
		}
	})
}

func TestEveryDamagedByteIsDetected(t *testing.T) {
	now := time.Now()
	good, err := encodeState(knowledge(), now)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += 97 {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, err := decodeState(bad, now); !errors.Is(err, errState) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

// A release that cannot use a state file keeps it: after a rollback it is that of a newer release.
func TestUnusableStateFileIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	b, err := encodeState(knowledge(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	newer := sealed(bytes.Replace(b, []byte(stateMagic), []byte("gmpulse baselines 9\n"), 1))
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	w, err := New(Config{StateFile: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second save replaces the file of this release
		if err := w.save(); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := os.ReadFile(path + unusableSuffix); !bytes.Equal(kept, newer) {
		t.Errorf("the file of the newer release is lost: %d bytes, %v", len(kept), err)
	}
	if all, err := readState(path, time.Now()); err != nil {
		t.Errorf("%d signals saved, %v", len(all), err)
	}
	if !strings.Contains(log.String(), path+unusableSuffix) {
		t.Errorf("the log does not name the kept file: %s", log.String())
	}
}

func TestStateFileKeepsWhatWasLearned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var log strings.Builder
	c := Config{StateFile: path, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	open := func() *Watch {
		t.Helper()
		w, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := open()
	if log.Len() > 0 {
		t.Errorf("a missing file is logged: %s", log.String())
	}
	w.trackers[0].Fast.Age = 4711
	if err := w.save(); err != nil {
		t.Fatal(err)
	}
	if n := open().trackers[0].Fast.Age; n != 4711 {
		t.Errorf("age %v s after a restart, want 4711", n)
	}
	if err := os.WriteFile(path, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := open().trackers[0].Fast.Age; n != 0 || !strings.Contains(log.String(), "start without a state") {
		t.Errorf("after damage: age %v s, log %q", n, log.String())
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

// A state that cannot be read at the start is not replaced. Run reads it again.
func TestUnreadableStateIsKept(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(target, 0o700), os.Symlink("link", link)); err != nil { // a loop
		t.Fatal(err)
	}
	open := func(path string) *Watch {
		t.Helper()
		w, err := New(Config{StateFile: filepath.Join(path, "state"), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	first := open(target)
	first.trackers[0].Fast.Age = 4711
	if err := first.save(); err != nil {
		t.Fatal(err)
	}
	w := open(link)
	if err := w.save(); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("save while the file cannot be read: %v", err)
	}
	if err := errors.Join(os.Remove(link), os.Symlink("real", link)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.Run(ctx)
	if n := open(target).trackers[0].Fast.Age; n != 4711 {
		t.Errorf("age %v s after a restart, want 4711", n)
	}
}

func TestFailedSaveIsAnError(t *testing.T) {
	w, err := New(Config{StateFile: filepath.Join(t.TempDir(), "missing", "state")})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.save(); err == nil {
		t.Error("no error for a directory that does not exist")
	}
}
