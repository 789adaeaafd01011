// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/tracectx"
)

// A program that shows no spans is told so once, after a minute, and no longer when it
// shows some.
func TestNoSpansNotice(t *testing.T) {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	g := &globalSpans{processor: p, logger: slog.New(slog.NewTextHandler(&log, nil))}
	start := time.Now()
	look := func(after time.Duration) int {
		g.notice(start.Add(after))
		return strings.Count(log.String(), "no spans seen")
	}
	if n := look(0) + look(59*time.Second); n != 0 || g.none.Load() {
		t.Error("said so too soon")
	}
	if n := look(time.Minute); n != 1 || !g.none.Load() {
		t.Errorf("said so %d times after a minute", n)
	}
	if n := look(time.Hour); n != 1 {
		t.Errorf("said so %d times after an hour", n)
	}
	p.Do(context.Background(), "job", func(context.Context) {})
	if look(2 * time.Hour); g.none.Load() {
		t.Error("it stands although work was seen")
	}
}
