// SPDX-License-Identifier: Apache-2.0

package exporters_test

import (
	"context"
	"errors"
	"testing"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestFuncConformance(t *testing.T) {
	exporttest.Run(t, func(*testing.T) exporters.Exporter {
		return exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return nil })
	})
}

func TestFuncPassesArgumentsAndError(t *testing.T) {
	type key struct{}
	want := errors.New("failed")
	snapshot := exporttest.Snapshot()
	var got *runtimeinfo.Snapshot
	var value any
	f := exporters.Func(func(ctx context.Context, s *runtimeinfo.Snapshot) error {
		got, value = s, ctx.Value(key{})
		return want
	})
	err := f.Export(context.WithValue(t.Context(), key{}, "v"), snapshot)
	if got != snapshot || value != "v" || !errors.Is(err, want) {
		t.Errorf("snapshot %p, context value %v, error %v; want %p, v, %v", got, value, err, snapshot, want)
	}
	if err := f.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestRejectedErrorWithoutCause(t *testing.T) {
	err := error(&exporters.RejectedError{Events: 2, Snapshot: true})
	if got := err.Error(); got != "rejected" {
		t.Error(got)
	}
	if errors.Unwrap(err) != nil {
		t.Error("Unwrap returned an error")
	}
}
