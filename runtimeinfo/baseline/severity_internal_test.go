// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"log/slog"
	"testing"
)

// An unusual number of goroutines is no alarm, and neither is anything in the first half
// hour of a process, but for a ceiling.
func TestSeverity(t *testing.T) {
	for _, c := range []struct {
		group string
		age   float32
		cause cause
		want  slog.Level
	}{
		{groupGoroutines, 7200, bySudden, slog.LevelInfo},
		{groupScheduler, 600, bySudden, slog.LevelInfo},
		{groupScheduler, 7200, byCreeping, slog.LevelWarn},
		{groupMemory, 7200, bySudden, slog.LevelWarn},
		{groupGoroutines, 60, byCeiling, slog.LevelWarn},
	} {
		tr := &tracker{row: &row{group: c.group}, cause: c.cause}
		tr.Fast.Age = c.age
		if got := tr.severity(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
