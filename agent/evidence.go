// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// newEvidence makes the evidence store. It returns nil if evidence is off.
func (a *Agent) newEvidence(s *settings) (*evidence.Store, error) {
	if s.evidence == nil {
		return nil, nil //nolint:nilnil // off
	}
	c := *s.evidence
	if c.Trace == nil && s.recorder != nil {
		c.Trace = s.recorder.WriteTrace
	}
	if c.Goroutines == nil {
		c.Goroutines = a.detector.Report
	}
	c.Profiler = cmp.Or(c.Profiler, a.profiler)
	c.Logger = cmp.Or(c.Logger, s.logger)
	store, err := evidence.New(c)
	return store, about("GMPULSE_CAPTURE_DIR or WithEvidence", err)
}

// checkDir logs a warning if the evidence directory is not writable, so that the problem is known
// before the first incident. It may hang on a network mount.
func checkDir(dir string, logger *slog.Logger) {
	if err := tryDir(dir); err != nil {
		logger.Warn("gmpulse: the evidence directory of GMPULSE_CAPTURE_DIR or WithEvidence is not writable",
			slog.String("dir", dir), slog.Any("error", err))
	}
}

// checkName is the name of the file that tryDir creates.
const checkName = ".gmpulse-check"

// tryDir returns an error if the directory cannot be created or is not writable. It creates a file in it
// and removes the file, or removes the file of a process that was killed before it could.
func tryDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, checkName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case err == nil:
		err = f.Close()
	case !errors.Is(err, fs.ErrExist):
		return err
	default:
		err = nil // whether the file can be removed shows whether the directory is writable
	}
	if removed := os.Remove(path); !errors.Is(removed, fs.ErrNotExist) { // another process may have removed it
		err = errors.Join(err, removed)
	}
	return err
}

// errNoEvidence is the error of Capture if evidence is off.
var errNoEvidence = errors.New("agent: evidence is off; set GMPULSE_CAPTURE_DIR or use WithEvidence")

// Capture creates a bundle of evidence with a CPU profile and returns its directory in
// [Agent.Evidence]. It takes about five seconds. It returns an error if evidence is off, if
// another capture is in progress, or if the bundle cannot be created, see
// [evidence.Store.Capture].
func (a *Agent) Capture(ctx context.Context, reason string) (id string, err error) {
	if a.evidence == nil {
		return "", errNoEvidence
	}
	return a.evidence.Capture(ctx, reason)
}

// Evidence returns a file system with a directory for each bundle of evidence. It returns nil
// if evidence is off.
func (a *Agent) Evidence() fs.FS {
	if a.evidence == nil {
		return nil
	}
	return a.evidence
}

// keepSlow makes the store create a bundle for each slow span that the recorder analyzes.
func keepSlow(r *exectrace.Recorder, store *evidence.Store) {
	if r == nil || store == nil {
		return
	}
	r.NotifySlow(func(e runtimeinfo.Event, recorded []byte) { store.Trigger(slowTrigger(e, recorded)) })
}

// slowTrigger returns the trigger of a bundle about a slow span.
func slowTrigger(e runtimeinfo.Event, recorded []byte) evidence.Trigger {
	t := evidence.Trigger{Cause: e.Name, Reason: e.Message, Minor: true, CPU: true, Event: &e, Trace: recorded}
	for _, attr := range e.Attrs {
		switch attr.Key {
		case "span.name":
			t.Cause += " " + attr.Value.String()
		case "span.duration":
			t.Size = attr.Value.Float64()
		}
	}
	return t
}
