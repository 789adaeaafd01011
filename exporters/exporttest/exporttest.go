// SPDX-License-Identifier: Apache-2.0

// Package exporttest checks an exporter against the contract of
// [exporters.Exporter], whoever wrote it:
//
//	func TestConformance(t *testing.T) {
//		exporttest.Run(t, func(t *testing.T) exporters.Exporter {
//			backend := startFakeBackend(t)
//			return mine.New(backend.Addr())
//		})
//	}
//
// [Snapshot] and [Event] are what it exports: fixed values that are good for an
// exporter's own tests and golden files too.
package exporttest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Run runs one subtest per rule of the contract. A failure says which rule was
// broken and why it matters.
//
// newExporter is called once per subtest. What it returns must be able to
// deliver: a push exporter needs a backend, usually a fake one, that accepts
// everything and ends with t.Cleanup. Run calls Shutdown before that.
//
// The goroutines of the program are compared before and after, so nothing else
// may run in parallel. An exporter that keeps the contract passes within two
// seconds; one that hangs is given up after five, per subtest.
func Run(t *testing.T, newExporter func(t *testing.T) exporters.Exporter) {
	t.Helper()
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			s := &subject{exporter: newExporter(t)}
			t.Cleanup(func() { s.release(t) })
			r.report(t, r.check(t, s))
		})
	}
	t.Run("no-goroutine-left", func(t *testing.T) { checkGoroutines(t, newExporter) })
}

// limit is how long a call may take that should return at once. It is generous:
// machines that run tests are busy.
const limit = 5 * time.Second

// rule is one promise that exporters make.
type rule struct {
	name  string
	says  string // what the rule demands and what for
	check func(t *testing.T, s *subject) error
}

func (r *rule) report(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%v\nrule: %s", err, r.says)
	}
}

// checkGoroutines uses an exporter in a subtest of its own, so that the backend
// that newExporter may have started is gone too when goroutines are counted.
func checkGoroutines(t *testing.T, newExporter func(t *testing.T) exporters.Exporter) {
	t.Helper()
	r := rule{says: "Shutdown ends every goroutine that the exporter started: an agent may be stopped and started again for as long as the program runs."}
	before := goleak.IgnoreCurrent()
	ok := t.Run("use", func(t *testing.T) {
		s := &subject{exporter: newExporter(t)}
		ctx := t.Context()
		r.report(t, errors.Join(s.export(ctx, Snapshot()), s.shutdown(ctx)))
	})
	if ok {
		r.report(t, goleak.Find(before))
	}
}

// subject is the exporter under test. Its methods bound every call and turn a
// panic into an error, so that one broken rule does not end the whole run.
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

// release shuts the exporter down unless the rule did. An error is the business
// of the rules for Shutdown.
func (s *subject) release(t *testing.T) {
	t.Helper()
	if s.down {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	defer cancel()
	if err := s.shutdown(ctx); errors.Is(err, errHarm) {
		t.Log(err)
	}
}

// errHarm marks what no exporter may do at all, as opposed to returning an error.
var errHarm = errors.New("harmful")

// harm keeps of an error only what is harmful.
func harm(err error) error {
	if errors.Is(err, errHarm) {
		return err
	}
	return nil
}

// bounded calls f and waits for it, but no longer than limit.
func bounded(what string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("%w: %s panicked: %v\n%s", errHarm, what, p, debug.Stack())
			}
		}()
		if err := f(); err != nil {
			done <- fmt.Errorf("%s: %w", what, err)
			return
		}
		done <- nil
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("%w: %s did not return within %v", errHarm, what, limit)
	}
}
