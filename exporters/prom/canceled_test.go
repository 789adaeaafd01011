// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gmpulse/gmpulse/exporters/prom"
)

// A client that disconnects during a scrape does not make others fail: the scrape keeps its
// slot until it ends, so that others wait for it instead of being refused.
func TestDisconnectedClientsRefuseNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		until := make(chan struct{})
		e := newExporter(t, prom.Config{Collectors: []prometheus.Collector{blocking{until, &calls}}})
		get := func(ctx context.Context) int {
			w := httptest.NewRecorder()
			e.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil))
			return w.Code
		}
		ctx, disconnect := context.WithCancel(t.Context())
		var requests sync.WaitGroup
		for range 4 {
			requests.Go(func() { get(ctx) })
		}
		synctest.Wait()
		disconnect()
		synctest.Wait()
		requests.Go(func() {
			if code := get(t.Context()); code != http.StatusOK {
				t.Errorf("HTTP %d, want 200", code)
			}
		})
		synctest.Wait()
		close(until)
		requests.Wait()
	})
}
