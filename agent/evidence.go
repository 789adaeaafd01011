// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// newEvidence makes the store of bundles, nil if there is to be none.
func (a *Agent) newEvidence(s *settings) (*evidence.Store, error) {
	if s.evidence == nil {
		return nil, nil //nolint:nilnil // off
	}
	c := *s.evidence
	if c.Trace == nil && s.recorder != nil {
		c.Trace = s.recorder
	}
	if c.Goroutines == nil {
		c.Goroutines = a.detector.Report
	}
	if c.Record == nil {
		c.Record = exporters.Record
	}
	if c.Logger == nil {
		c.Logger = s.logger
	}
	store, err := evidence.New(c)
	if err != nil {
		return nil, fmt.Errorf("agent: GMPULSE_CAPTURE_DIR or WithEvidence: %w", err)
	}
	return store, nil
}

// dirCheck checks that the directory of the evidence can be written to. The check may hang
// on a network mount: only Stop waits for it, until its deadline.
type dirCheck struct{ done chan struct{} }

// checkDir logs a warning when no evidence can be written to dir: at the start, not only
// when there is an incident.
func checkDir(dir string, logger *slog.Logger) *dirCheck {
	c := &dirCheck{make(chan struct{})}
	go func() {
		defer close(c.done)
		if err := tryDir(dir); err != nil {
			logger.Warn("gmpulse: no evidence of incidents can be kept: the directory of GMPULSE_CAPTURE_DIR or WithEvidence cannot be written to",
				slog.String("dir", dir), slog.Any("error", err))
		}
	}()
	return c
}

// tryDir makes the directory, and a file in it, and removes the file.
func tryDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".gmpulse-check-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// wait waits for the end of the check, if there is one.
func (c *dirCheck) wait(ctx context.Context) error {
	if c == nil {
		return nil
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("agent: stop: the directory of the evidence does not answer: %w", context.Cause(ctx))
	}
}

// errNoEvidence is the error of Capture where no evidence is kept.
var errNoEvidence = errors.New("agent: no evidence is kept; set GMPULSE_CAPTURE_DIR or give WithEvidence")

// Capture makes a bundle of evidence now, with a CPU profile, and returns the name of its
// directory, see [Agent.Evidence]. It takes about five seconds.
func (a *Agent) Capture(ctx context.Context, reason string) (id string, err error) {
	if a.evidence == nil {
		return "", errNoEvidence
	}
	return a.evidence.Capture(ctx, reason)
}

// Evidence returns the bundles, a directory for each; nil where none are kept.
func (a *Agent) Evidence() fs.FS {
	if a.evidence == nil {
		return nil
	}
	return a.evidence
}

// slowTrigger makes evidence of a slow span.
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
