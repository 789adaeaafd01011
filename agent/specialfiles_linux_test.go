// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/agent"
)

// TestPipesDoNotBlockStart sets each variable that names a file or a directory to a pipe without
// a writer.
func TestPipesDoNotBlockStart(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, variables := range [][]string{
		{"GMPULSE_STATE_FILE"},
		{"GMPULSE_CAPTURE_DIR"},
		{"GMPULSE_SPOOL_DIR"},
		{"GMPULSE_FLUENTD_CA"},
		{"GMPULSE_FLUENTD_CERT", "GMPULSE_FLUENTD_KEY"},
	} {
		t.Run(variables[0], func(t *testing.T) {
			t.Setenv("GMPULSE_FLUENTD", "tls://127.0.0.1:1")
			for _, v := range variables {
				t.Setenv(v, pipe)
			}
			started := make(chan struct{})
			go func() {
				defer close(started)
				a, err := agent.Start(agent.WithListen("off"), agent.WithLogger(slog.New(slog.DiscardHandler)))
				t.Logf("the error of Start: %v", err)
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				_ = a.Stop(ctx) // Fluentd is not reachable
			}()
			select {
			case <-started:
			case <-time.After(20 * time.Second):
				t.Fatal("Start or Stop blocks")
			}
		})
	}
}
