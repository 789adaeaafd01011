// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"net/http"
	"testing"
	"time"
)

// /healthz answers 503 if the last tick is too old. The test passes a time in the future,
// because it cannot stall the engine.
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
