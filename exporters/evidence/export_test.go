// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"io/fs"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/manifest"
)

// Manifest describes a bundle.
type Manifest = manifest.Manifest

// Skipped is a file that a bundle lacks.
type Skipped = manifest.Skipped

// File is one file of a bundle.
type File = manifest.File

// ManifestFile is the name of the manifest in each bundle.
const ManifestFile = manifest.Name

// ReadManifest reads the manifest of a bundle.
func ReadManifest(files fs.FS) (*Manifest, error) { return manifest.Read(files) }

// Stats has cumulative numbers of bundles.
type Stats struct{ Made, Failed, Skipped, Refused uint64 }

// Stats returns the numbers that Analyze publishes.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{s.stats.made, s.stats.failed, s.stats.skipped, s.stats.refused}
}

// WaitIdle waits until no capture is in progress.
func (s *Store) WaitIdle(t *testing.T) {
	t.Helper()
	s.waitFor(t, func() bool { return !s.busy })
}

func (s *Store) waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		done := ok()
		s.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("not true after 20 s")
		}
	}
}

// SetFreeMemory makes the store assume that so many bytes of memory are available.
func (s *Store) SetFreeMemory(bytes int64) {
	s.fits = func(need int64) error {
		if need <= bytes {
			return nil
		}
		return headroom.ErrShort
	}
}
