// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"net/http"
	"testing"
	"time"
)

// The loop stalls: that is what orchestrators restart for. Nothing that a test could
// give the agent stalls it, so the clock runs ahead here.
func TestHealthWhenStalled(t *testing.T) {
	a, err := Start(WithListen("off"), WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for a.Snapshot() == nil {
		time.Sleep(time.Millisecond)
	}
	if h, code := a.health(time.Now()); h.Status != "ok" || code != http.StatusOK {
		t.Errorf("now: %s, %d", h.Status, code)
	}
	if h, code := a.health(time.Now().Add(time.Hour)); h.Status != "stalled" || code != http.StatusServiceUnavailable {
		t.Errorf("an hour from now: %s, %d", h.Status, code)
	}
}
