// SPDX-License-Identifier: Apache-2.0

// Package exporttest tests whether an exporter keeps the contract of
// [exporters.Exporter]:
//
//	func TestConformance(t *testing.T) {
//		exporttest.Run(t, func(t *testing.T) exporters.Exporter {
//			backend := startFakeBackend(t)
//			return mine.New(backend.Addr())
//		})
//	}
//
// [Snapshot] and [Event] return fixed values, which suit an exporter's own tests and
// golden files too.
package exporttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Run runs one subtest for each rule of the contract. A failure states the rule and the
// reason for it.
//
// Run calls newExporter once per subtest. The exporter must be able to deliver: a push
// exporter needs a backend, usually a fake one, that accepts everything and stops in
// t.Cleanup. Run calls Shutdown before that.
//
// Run compares the goroutines of the program before and after, so no other test may run
// in parallel. An exporter that keeps the contract passes within two seconds. Run waits
// for a call that hangs for five seconds.
func Run(t *testing.T, newExporter func(t *testing.T) exporters.Exporter) {
	t.Helper()
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			s := &subject{exporter: newExporter(t)}
			t.Cleanup(func() { s.cleanup(t) })
			report(t, r.check(t.Context(), s), r.text)
		})
	}
	t.Run("no-goroutine-left", func(t *testing.T) { checkGoroutines(t, newExporter) })
}

// limit is the maximum duration of a call that should return at once.
const limit = 5 * time.Second

func report(t *testing.T, err error, rule string) {
	t.Helper()
	if err != nil {
		t.Errorf("%v\nrule: %s", err, rule)
	}
}

// checkGoroutines uses the exporter in a subtest, so that a backend started by
// newExporter has stopped when the goroutines are compared.
func checkGoroutines(t *testing.T, newExporter func(t *testing.T) exporters.Exporter) {
	t.Helper()
	const rule = "Shutdown ends every goroutine of the exporter: a program may stop and start agents many times."
	before := goleak.IgnoreCurrent()
	ok := t.Run("use", func(t *testing.T) {
		report(t, checkShutdown(t.Context(), &subject{exporter: newExporter(t)}), rule)
	})
	if ok {
		report(t, goleak.Find(before), rule)
	}
}

// subject is the exporter under test. Its methods bound every call and return a panic as
// an error, so that the remaining rules are tested too.
type subject struct {
	exporter exporters.Exporter
	down     bool // Shutdown was called
}

func (s *subject) export(ctx context.Context, snapshot *runtimeinfo.Snapshot) error {
	return bounded("Export", func() error { return s.exporter.Export(ctx, snapshot) })
}

func (s *subject) shutdown(ctx context.Context) error {
	s.down = true
	return bounded("Shutdown", func() error { return s.exporter.Shutdown(ctx) })
}

// cleanup shuts the exporter down unless the rule did.
func (s *subject) cleanup(t *testing.T) {
	t.Helper()
	if s.down {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	defer cancel()
	if err := fatal(s.shutdown(ctx)); err != nil {
		t.Log(err)
	}
}

// errFatal marks panics and calls that do not return, as opposed to returned errors.
var errFatal = errors.New("contract broken")

// fatal returns err if it is an errFatal, and nil otherwise.
func fatal(err error) error {
	if errors.Is(err, errFatal) {
		return err
	}
	return nil
}

// bounded calls f and waits for it, at most for limit.
func bounded(what string, f func() error) error {
	done := make(chan error, 1)
	guard.Go(f, func(err error) { done <- err })
	select {
	case err := <-done:
		if p := guard.Panicked(err); p != nil {
			return fmt.Errorf("%w: %s: %w\n%s", errFatal, what, err, p.Stack)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	case <-time.After(limit):
		return fmt.Errorf("%w: %s did not return within %v", errFatal, what, limit)
	}
}
