// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/testutil"
)

// hook records the events that are posted to it, by their id.
type hook struct {
	mu     sync.Mutex
	events map[string]map[string]any
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Events []map[string]any }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range body.Events {
		h.events[e["id"].(string)] = e
	}
}

// phase returns the event of an incident's phase, or nil.
func (h *hook) phase(phase string) map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if i, _ := e["incident"].(map[string]any); i["phase"] == phase {
			return e
		}
	}
	return nil
}

// serveAt serves h at an address until the test ends.
func serveAt(t *testing.T, address string, h http.Handler) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	err := s.Listener.Close()
	if err != nil {
		t.Fatal(err)
	}
	if s.Listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Close)
}

// With GMPULSE_SPOOL_DIR, an incident reaches a webhook that was down until the service had been
// restarted. It has the time and the resource of the process that reported it.
func TestWebhookReceivesIncidentsOfAnEarlierProcess(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, dir := l.Addr().String(), t.TempDir()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GMPULSE_WEBHOOK", "http://"+address+"/hook")
	t.Setenv("GMPULSE_SPOOL_DIR", dir)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=first")
	a, log := atCeiling(t)
	testutil.Eventually(t, "the event waits on disk", func() bool {
		s := statsOf(t, a.Stats(), "webhook")
		return s.Errors > 0 && s.Spool != nil && s.Spool.OnDisk && s.Events.Pending > 0
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Contains(text, "is not used") || !strings.Contains(text, " webhook_spool="+dir) {
		t.Errorf("the log:\n%s", text)
	}
	restarted := time.Now()
	files, err := filepath.Glob(filepath.Join(dir, "webhook.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no file of the webhook: %v", err)
	}
	for _, f := range files {
		if i, err := os.Stat(f); err != nil || i.Size() > 1<<20 {
			t.Errorf("%s has %d bytes: samples are stored, %v", f, i.Size(), err)
		}
	}

	h := &hook{events: map[string]map[string]any{}}
	serveAt(t, address, h)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=second")
	b, _ := start(t)
	defer stop(t, b)
	testutil.Eventually(t, "the events of the first process arrive", func() bool { return h.phase("opened") != nil && h.phase("closed") != nil })
	e := h.phase("opened")
	at, err := time.Parse(time.RFC3339Nano, e["time"].(string))
	if err != nil || at.After(restarted) || e["resource.service.instance.id"] != "first" {
		t.Errorf("%v, restarted at %v, %v", e, restarted, err)
	}
	testutil.Retry(t, func() error {
		s := statsOf(t, b.Stats(), "webhook")
		if s.Events.Pending > 0 || s.Events.Recovered != 2 || s.Snapshots.Accepted-s.Snapshots.Delivered-s.Snapshots.Lost() > 1 {
			return fmt.Errorf("want both events recovered and nothing that waits: %+v", s)
		}
		return nil
	})
}
