// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/internal/disk"
	"github.com/gmpulse/gmpulse/internal/guard"
)

// New ignores a state file that is not regular or too large, logs that, and save does not
// replace it.
func TestSpecialStateFilesAreNotUsed(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 1<<40); err != nil {
		t.Fatal(err)
	}
	for path, keeps := range map[string]bool{pipe: true, dir: true, "/dev/zero": true, "/dev/null": true, large: false} {
		var log strings.Builder
		w, err := New(Config{StateFile: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "start without a state") {
			t.Errorf("%s: %s", path, log.String())
		}
		if err := w.save(); keeps != errors.Is(err, disk.ErrNotRegular) {
			t.Errorf("%s: save: %v", path, err)
		}
	}
	if left := names(t, dir); !slices.Equal(left, []string{"large", "pipe"}) {
		t.Errorf("files left: %v", left)
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Reading the file takes long, as on a hanging mount. Run waits for it and writes nothing
// before.
func TestRunWaitsForASlowStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	synctest.Test(t, func(t *testing.T) {
		w, err := New(Config{StateFile: path, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		first := w.trackers[0]
		answer := make(chan struct{})
		read := func() stateRead {
			<-answer
			return stateRead{all: map[string]*stored{first.name: {Learned: learned{Scale: first.scale, Fast: cusum{Age: 5000}}}}}
		}
		if _, err := w.reader.Poll(0, read); !errors.Is(err, guard.ErrPending) {
			t.Fatal(err)
		}
		w.unread = true
		done, cancel := context.WithCancel(t.Context())
		cancel()
		w.Run(done)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Run(ctx)
		}()
		time.Sleep(time.Hour)
		if _, err := os.Stat(path); err == nil {
			t.Error("the file was written before it was read")
		}
		close(answer)
		time.Sleep(2 * readInterval)
		w.mu.Lock()
		if first.Fast.Age != 5000 {
			t.Error("what was read is not used")
		}
		w.mu.Unlock()
		cancel()
		<-ended
		if _, err := os.Stat(path); err != nil {
			t.Errorf("at the end: %v", err)
		}
	})
}

// Processes that are killed during a save leave at most one temporary file.
func TestTemporaryFilesAreRemoved(t *testing.T) {
	if path := os.Getenv("GMPULSE_TEST_STATE"); path != "" {
		w, err := New(Config{StateFile: path})
		if err != nil {
			os.Exit(1)
		}
		for {
			_ = w.save() // until killed
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	ago := time.Now().Add(-time.Hour)
	for _, keep := range []string{"state.bak", "state.1.bak", "other.123"} {
		if err := os.WriteFile(filepath.Join(dir, keep), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	held := false // whether a fresh temporary file keeps the next process from writing
	for i := range 10 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTemporaryFilesAreRemoved$")
		cmd.Env = append(os.Environ(), "GMPULSE_TEST_STATE="+path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(path) // there is none at first
		patience := 20 * time.Second
		if held {
			patience = 50 * time.Millisecond // it writes nothing
		}
		for begin := time.Now(); time.Since(begin) < patience; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(path); err == nil {
				break
			}
		}
		time.Sleep(time.Duration(i) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if i%2 == 0 {
			_ = os.Chtimes(path+".tmp", ago, ago) // there may be none
		}
		_, err := os.Stat(path + ".tmp")
		held = i%2 != 0 && err == nil
	}
	left := slices.DeleteFunc(names(t, dir), func(n string) bool { return n == "state.tmp" })
	if !slices.Equal(left, []string{"other.123", "state", "state.1.bak", "state.bak"}) {
		t.Errorf("files left: %v", left)
	}
}
