// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// recorderOptions returns the options that add a recorder to the engine.
func recorderOptions(r *exectrace.Recorder) []engine.Option {
	if r == nil {
		return nil
	}
	return []engine.Option{
		engine.WithAnalyzer("recorder", r),
		engine.WithBackground("recorder", func(ctx context.Context) { r.Run(ctx) }),
	}
}

// keepSlow makes the store create a bundle for each slow span that the recorder analyzes.
func keepSlow(r *exectrace.Recorder, store *evidence.Store) {
	if r == nil || store == nil {
		return
	}
	r.NotifySlow(func(e runtimeinfo.Event, recorded []byte) { store.Trigger(slowTrigger(e, recorded)) })
}
