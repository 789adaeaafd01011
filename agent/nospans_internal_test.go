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

// The agent logs once, after a minute, that it sees no spans.
func TestLogsTheAbsenceOfSpansOnce(t *testing.T) {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	g := &globalSpans{processor: p, logger: slog.New(slog.NewTextHandler(&log, nil))}
	start := time.Now()
	lines := func(after time.Duration) int {
		g.checkNone(start.Add(after))
		return strings.Count(log.String(), "no spans seen")
	}
	if n := lines(0) + lines(59*time.Second); n != 0 || g.none.Load() {
		t.Error("logged before a minute has passed")
	}
	if n := lines(time.Minute); n != 1 || !g.none.Load() {
		t.Errorf("logged %d times after a minute", n)
	}
	if n := lines(time.Hour); n != 1 {
		t.Errorf("logged %d times after an hour", n)
	}
	p.Do(context.Background(), "job", func(context.Context) {})
	if lines(2 * time.Hour); g.none.Load() {
		t.Error("none is still set after the first job")
	}
}
