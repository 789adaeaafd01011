// SPDX-License-Identifier: Apache-2.0

package exporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// rule is one requirement of the contract.
type rule struct {
	name  string
	text  string // what the rule requires and why
	check func(ctx context.Context, s *subject) error
}

func rules() []rule {
	all := []rule{
		{"full", "Export sends a snapshot with every kind of value.", checkFull},
		{"summary", "Export sends a summary of several ticks, which an exporter with an interval receives, and the snapshot of one tick afterwards, which ends an interval early because of an event.", checkSummary},
		{"empty", "Export accepts a snapshot without values, as on an unknown platform.", checkEmpty},
		{"events", "Export sends the events of a snapshot.", checkEvents},
		{"many", "Export can be called for as long as the program runs, here for 100 snapshots.", checkMany},
		{"unchanged", "Export does not change the snapshot: other exporters read it at the same time.", checkUnchanged},
	}
	for _, u := range unusualSnapshots() {
		all = append(all, rule{
			"unusual-" + u.name,
			"Export accepts every span name and event attribute, here " + u.what +
				": after an error the agent would export the same events again and again. The next snapshot is sent too.",
			func(ctx context.Context, s *subject) error { return checkUnusual(ctx, s, u.snapshot()) },
		})
	}
	return append(all, []rule{
		{"canceled-before", "Export returns at once, with or without an error, if its context is done, and works again afterwards.", checkCanceledBefore},
		{"canceled-meanwhile", "Export returns when its context ends: the agent has no other way to stop it.", checkCanceledMeanwhile},
		{"shutdown", "Shutdown succeeds if the backend works.", checkShutdown},
		{"shutdown-unused", "Shutdown succeeds for an exporter that has exported nothing.", checkShutdownUnused},
		{"shutdown-deadline", "Shutdown returns when its context is done, because the program is ending.", checkShutdownDeadline},
		{"shutdown-twice", "A second Shutdown returns, with or without an error.", checkShutdownTwice},
		{"export-after-shutdown", "Export returns ErrShutdown after Shutdown, so that the snapshot does not count as delivered.", checkExportAfterShutdown},
	}...)
}

func checkFull(ctx context.Context, s *subject) error { return s.export(ctx, Snapshot()) }

func checkSummary(ctx context.Context, s *subject) error {
	next := Snapshot().WithEvents([]runtimeinfo.Event{Event()})
	next.Seq++
	next.Since, next.Time = next.Time, next.Time.Add(time.Second)
	return errors.Join(s.export(ctx, Summary()), s.export(ctx, next))
}

func checkEmpty(ctx context.Context, s *subject) error {
	return s.export(ctx, runtimeinfo.NewSnapshot())
}

func checkEvents(ctx context.Context, s *subject) error {
	return s.export(ctx, Snapshot().WithEvents([]runtimeinfo.Event{Event(), Event()}))
}

func checkMany(ctx context.Context, s *subject) error {
	for i := range 100 {
		snapshot := Snapshot()
		snapshot.Seq += uint64(i)
		snapshot.Time = snapshot.Time.Add(time.Duration(i) * time.Second)
		if err := s.export(ctx, snapshot); err != nil {
			return fmt.Errorf("snapshot %d: %w", i+1, err)
		}
	}
	return nil
}

func checkUnchanged(ctx context.Context, s *subject) error {
	snapshot := Summary().WithEvents([]runtimeinfo.Event{Event()})
	before, err := encoded(snapshot)
	if err != nil {
		return err
	}
	if err := s.export(ctx, snapshot); err != nil {
		return err
	}
	after, err := encoded(snapshot)
	if err == nil && !bytes.Equal(before, after) {
		err = errors.New("the snapshot was changed")
	}
	return err
}

// encoded returns the contents of a snapshot.
func encoded(s *runtimeinfo.Snapshot) ([]byte, error) {
	var e codec.Encoder
	record, err := e.Append(nil, s)
	_, schema := e.Schema()
	return append(record, schema...), err
}

func checkUnusual(ctx context.Context, s *subject, snapshot *runtimeinfo.Snapshot) error {
	if err := s.export(ctx, snapshot); err != nil {
		return err
	}
	if err := s.export(ctx, Snapshot()); err != nil {
		return fmt.Errorf("the next snapshot: %w", err)
	}
	return nil
}

func checkCanceledBefore(ctx context.Context, s *subject) error {
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := fatal(s.export(canceled, Snapshot())); err != nil {
		return err
	}
	return recovers(ctx, s)
}

// checkCanceledMeanwhile ends several contexts, because on a busy machine a context may
// end before Export begins.
func checkCanceledMeanwhile(ctx context.Context, s *subject) error {
	for range 5 {
		if err := exportUntilDone(ctx, s); err != nil {
			return err
		}
	}
	return recovers(ctx, s)
}

func exportUntilDone(ctx context.Context, s *subject) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil {
		if err := fatal(s.export(ctx, Snapshot())); err != nil {
			return err
		}
	}
	return nil
}

// recovers waits until an Export succeeds. A push exporter may need more than one call
// to connect again.
func recovers(ctx context.Context, s *subject) error {
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	var err error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-retry.C {
		err = s.export(ctx, Snapshot())
		if err == nil || errors.Is(err, errFatal) {
			return err
		}
	}
	return fmt.Errorf("no further Export succeeds: %w", err)
}

func checkShutdown(ctx context.Context, s *subject) error {
	return errors.Join(s.export(ctx, Snapshot()), s.shutdown(ctx))
}

func checkShutdownUnused(ctx context.Context, s *subject) error { return s.shutdown(ctx) }

func checkShutdownDeadline(ctx context.Context, s *subject) error {
	ctx, cancel := context.WithCancel(ctx)
	err := s.export(ctx, Snapshot())
	cancel()
	return fatal(errors.Join(err, s.shutdown(ctx)))
}

func checkShutdownTwice(ctx context.Context, s *subject) error {
	return fatal(errors.Join(s.export(ctx, Snapshot()), s.shutdown(ctx), s.shutdown(ctx)))
}

func checkExportAfterShutdown(ctx context.Context, s *subject) error {
	if _, ok := s.exporter.(exporters.Func); ok {
		return nil // the Shutdown of exporters.Func does nothing
	}
	if err := fatal(errors.Join(s.export(ctx, Snapshot()), s.shutdown(ctx))); err != nil {
		return err
	}
	err := s.export(ctx, Snapshot())
	switch {
	case err == nil:
		return errors.New("an Export after Shutdown succeeded")
	case errors.Is(err, exporters.ErrShutdown):
		return nil
	default:
		return fmt.Errorf("after Shutdown, Export did not return exporters.ErrShutdown: %w", err)
	}
}
