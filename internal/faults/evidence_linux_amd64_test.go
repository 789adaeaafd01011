// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/internal/manifest"
)

func newEvidence(dir string, l *slog.Logger) *evidence.Store {
	s, err := evidence.New(evidence.Config{Dir: dir, MinFree: 1, ProfileFor: time.Millisecond, Logger: l})
	must(err)
	return s
}

// capture takes a bundle and returns its directory, or the error.
func capture(s *evidence.Store) (string, error) {
	must(s.Export(context.Background(), snapshot(1)))
	return s.Capture(context.Background(), "test")
}

func prepareEvidence(t *testing.T, dir string) {
	t.Helper()
	if _, err := capture(newEvidence(dir, slog.New(slog.DiscardHandler))); err != nil {
		t.Fatal(err)
	}
}

func writeEvidence(dir string) {
	s := newEvidence(dir, logger())
	for range 2 {
		id, err := capture(s)
		if err != nil {
			say("failed %v", err)
			continue
		}
		if _, err := fs.Stat(s, id+"/"+manifest.Name); err != nil {
			say("unreadable %s: %v", id, err)
		}
		if _, err := os.Stat(filepath.Join(dir, id)); errors.Is(err, fs.ErrNotExist) {
			say("memory %s", id)
			continue
		}
		say("made %s", id)
	}
	must(s.Shutdown(context.Background()))
}

func checkEvidence(t *testing.T, dir string, o *outcome) {
	t.Helper()
	s := newEvidence(dir, slog.New(slog.DiscardHandler))
	defer func() { _ = s.Shutdown(context.Background()) }()
	if _, err := capture(s); err != nil {
		t.Errorf("the next process: %v", err)
	}
	found := map[string]bool{}
	entries, err := fs.ReadDir(s, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		found[e.Name()] = true
		if !o.fault.lies {
			complete(t, s, e.Name())
		}
	}
	made := o.has("made")
	if len(found) < 2 { // the bundle of prepareEvidence and the new one
		t.Errorf("old bundles are lost: %v", entries)
	}
	inMemory := o.has("memory")
	for _, id := range made {
		if !found[id] && !o.fault.cut {
			t.Errorf("bundle %s is lost", id)
		}
	}
	if !o.killed && len(made)+len(inMemory)+len(o.has("failed")) != 2 {
		t.Error("a capture has no result")
	}
	if len(inMemory) > 0 && o.fault.at.fail == 0 && o.fault.next == 0 {
		t.Errorf("bundles %v are in memory only", inMemory)
	}
	if bad := o.has("unreadable"); len(bad) > 0 && o.fault.at.fail == 0 {
		t.Errorf("made but not readable: %v", bad)
	}
}

// complete checks that a bundle has all files of its manifest.
func complete(t *testing.T, s fs.FS, id string) {
	t.Helper()
	sub, err := fs.Sub(s, id)
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Read(sub)
	if err != nil {
		t.Errorf("bundle %s: %v", id, err)
		return
	}
	for _, f := range m.Files {
		b, err := fs.ReadFile(sub, f.Name)
		if err != nil || len(b) != f.Bytes {
			t.Errorf("bundle %s: %s has %d bytes, want %d: %v", id, f.Name, len(b), f.Bytes, err)
		} else if strings.HasSuffix(f.Name, ".gz") && !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
			t.Errorf("bundle %s: the contents of %s are lost", id, f.Name)
		}
	}
}
