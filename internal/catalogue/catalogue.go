// SPDX-License-Identifier: Apache-2.0

// Package catalogue lists the metrics of all packages of gmpulse, for tests.
package catalogue

import (
	"slices"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/internal/capacity"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
	"github.com/gmpulse/gmpulse/tracectx"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// All returns every metric that an agent may publish, in the order of its snapshots.
func All() []*runtimeinfo.Metric {
	return slices.Concat(
		sampler.Metrics(),
		(*tracectx.Processor)(nil).Metrics(),
		(*exectrace.Recorder)(nil).Metrics(),
		(*goroutines.Detector)(nil).Metrics(),
		(*capacity.Estimator)(nil).Metrics(),
		(*baseline.Watch)(nil).Metrics(),
		(*profiler.Profiler)(nil).Metrics(),
		(*evidence.Store)(nil).Metrics(),
		engine.Metrics(),
	)
}
