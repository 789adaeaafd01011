// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"log/slog"
	"testing"
)

// Only a ceiling is a warning for the number of goroutines or in the first half hour.
func TestSeverity(t *testing.T) {
	for _, c := range []struct {
		group string
		age   float32
		cause cause
		want  slog.Level
	}{
		{groupGoroutines, 7200, causeSudden, slog.LevelInfo},
		{groupScheduler, 600, causeSudden, slog.LevelInfo},
		{groupScheduler, 7200, causeCreep, slog.LevelWarn},
		{groupMemory, 7200, causeSudden, slog.LevelWarn},
		{groupGoroutines, 60, causeCeiling, slog.LevelWarn},
	} {
		tr := &tracker{row: &row{group: c.group}, cause: c.cause}
		tr.Fast.Age = c.age
		if got := tr.severity(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
