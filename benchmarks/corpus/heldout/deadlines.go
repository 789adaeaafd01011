// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"time"

	"example.com/corpus/kit"
)

// timersDeadlines waits on contexts: each session has a context with a deadline of
// two minutes and a watcher that waits for its end (context.AfterFunc's documentation
// shows the modern way).
func timersDeadlines() kit.Program {
	return kit.Program{Name: "context-watchers", Library: "context", Run: func(w *kit.World) {
		w.Load(kit.Wave(2), func() {
			w.Root("session.open", func(ctx context.Context) {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
				go watchSession(ctx)
				time.AfterFunc(kit.Around(80*time.Second), cancel)
			})
		})
	}}
}

func watchSession(ctx context.Context) { <-ctx.Done() }
