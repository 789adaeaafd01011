// SPDX-License-Identifier: Apache-2.0

package exporttest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func rules() []rule {
	return slices.Concat(exportRules(), awkwardRules(), contextRules(), shutdownRules())
}

func exportRules() []rule {
	return []rule{
		{
			name: "full",
			says: "Export ships a snapshot that has a bit of everything.",
			check: func(t *testing.T, s *subject) error {
				t.Helper()
				return s.export(t.Context(), Snapshot())
			},
		},
		{
			name: "empty",
			says: "Export takes a snapshot without a single value: on an unknown platform little may be left.",
			check: func(t *testing.T, s *subject) error {
				t.Helper()
				return s.export(t.Context(), runtimeinfo.NewSnapshot())
			},
		},
		{
			name: "events",
			says: "Export ships the events of a snapshot together with it.",
			check: func(t *testing.T, s *subject) error {
				t.Helper()
				events := []runtimeinfo.Event{Event(), Event()}
				return s.export(t.Context(), Snapshot().WithEvents(events))
			},
		},
		{
			name:  "many",
			says:  "Export is called for as long as the program runs, here for 100 snapshots in a row.",
			check: checkMany,
		},
		{
			name:  "unchanged",
			says:  "Export leaves the snapshot as it is: other exporters read it at the same time.",
			check: checkUnchanged,
		},
	}
}

func checkMany(t *testing.T, s *subject) error {
	t.Helper()
	for i := range 100 {
		snapshot := Snapshot()
		snapshot.Seq += uint64(i)
		snapshot.Time = snapshot.Time.Add(time.Duration(i) * time.Second)
		if err := s.export(t.Context(), snapshot); err != nil {
			return fmt.Errorf("snapshot %d: %w", i+1, err)
		}
	}
	return nil
}

func checkUnchanged(t *testing.T, s *subject) error {
	t.Helper()
	snapshot := Snapshot().WithEvents([]runtimeinfo.Event{Event()})
	before := imprintOf(snapshot)
	if err := s.export(t.Context(), snapshot); err != nil {
		return err
	}
	if after := imprintOf(snapshot); !reflect.DeepEqual(before, after) {
		return fmt.Errorf("the snapshot was changed\nbefore %+v\nafter  %+v", before, after)
	}
	return nil
}

func awkwardRules() []rule {
	var all []rule
	for _, a := range awkwards() {
		all = append(all, rule{
			name: "awkward-" + a.name,
			says: "Export takes whatever an application names its spans or puts into an event, here " + a.what +
				": an error would make the agent hand the same events over for ever, and the next snapshot must get through too.",
			check: func(t *testing.T, s *subject) error {
				t.Helper()
				if err := s.export(t.Context(), a.snapshot()); err != nil {
					return err
				}
				if err := s.export(t.Context(), Snapshot()); err != nil {
					return fmt.Errorf("the snapshot after it: %w", err)
				}
				return nil
			},
		})
	}
	return all
}

func contextRules() []rule {
	return []rule{
		{
			name:  "cancelled-before",
			says:  "Export returns at once, with or without an error, when its context is done already, and is none the worse for it.",
			check: checkCancelledBefore,
		},
		{
			name:  "cancelled-meanwhile",
			says:  "Export returns when its context ends, whatever it waits for: nothing else gets a stuck exporter out of the way.",
			check: checkCancelledMeanwhile,
		},
	}
}

func checkCancelledBefore(t *testing.T, s *subject) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := harm(s.export(ctx, Snapshot())); err != nil {
		return err
	}
	return recovers(t, s)
}

// checkCancelledMeanwhile ends several contexts, since on a busy machine one may
// end before Export has begun.
func checkCancelledMeanwhile(t *testing.T, s *subject) error {
	t.Helper()
	for range 5 {
		if err := exportUntilDone(t, s); err != nil {
			return err
		}
	}
	return recovers(t, s)
}

func exportUntilDone(t *testing.T, s *subject) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil {
		if err := harm(s.export(ctx, Snapshot())); err != nil {
			return err
		}
	}
	return nil
}

// recovers waits until an Export succeeds: a push exporter may have to connect
// again, which may take it more than one call.
func recovers(t *testing.T, s *subject) error {
	t.Helper()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	var err error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-retry.C {
		err = s.export(t.Context(), Snapshot())
		if err == nil || errors.Is(err, errHarm) {
			return err
		}
	}
	return fmt.Errorf("no Export succeeds any more: %w", err)
}

func shutdownRules() []rule {
	return []rule{
		{
			name: "shutdown",
			says: "Shutdown of an exporter whose backend is well succeeds.",
			check: func(t *testing.T, s *subject) error {
				t.Helper()
				return errors.Join(s.export(t.Context(), Snapshot()), s.shutdown(t.Context()))
			},
		},
		{
			name: "shutdown-unused",
			says: "Shutdown takes an exporter that has exported nothing yet.",
			check: func(t *testing.T, s *subject) error {
				t.Helper()
				return s.shutdown(t.Context())
			},
		},
		{
			name:  "shutdown-deadline",
			says:  "Shutdown returns when its context is done: a program that ends cannot wait.",
			check: checkShutdownDeadline,
		},
		{
			name: "shutdown-twice",
			says: "A second Shutdown, with or without an error, does no harm.",
			check: func(t *testing.T, s *subject) error {
				t.Helper()
				ctx := t.Context()
				return harm(errors.Join(s.export(ctx, Snapshot()), s.shutdown(ctx), s.shutdown(ctx)))
			},
		},
		{
			name:  "export-after-shutdown",
			says:  "Export returns ErrShutdown after Shutdown: silence would look like delivery.",
			check: checkExportAfterShutdown,
		},
	}
}

func checkShutdownDeadline(t *testing.T, s *subject) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	err := s.export(ctx, Snapshot())
	cancel()
	return harm(errors.Join(err, s.shutdown(ctx)))
}

func checkExportAfterShutdown(t *testing.T, s *subject) error {
	t.Helper()
	if _, ok := s.exporter.(exporters.Func); ok {
		t.Skip("the Shutdown of exporters.Func does nothing")
	}
	ctx := t.Context()
	if err := harm(errors.Join(s.export(ctx, Snapshot()), s.shutdown(ctx))); err != nil {
		return err
	}
	err := s.export(ctx, Snapshot())
	if err == nil {
		return errors.New("an Export after Shutdown succeeded")
	}
	if errors.Is(err, exporters.ErrShutdown) {
		return nil
	}
	return fmt.Errorf("after Shutdown, another error than exporters.ErrShutdown: %w", err)
}
