// SPDX-License-Identifier: Apache-2.0

package alertmanager_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/gmpulse/gmpulse/exporters/alertmanager"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// An incident becomes an alert of the Alertmanager.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Println(r.Method, r.URL.Path, string(body[:58]), err)
	}))
	defer server.Close()

	x, err := alertmanager.New(alertmanager.Config{URLs: []string{server.URL}})
	if err != nil {
		fmt.Println(err)
		return
	}
	// agent.Start(agent.WithExporter("alertmanager", x)) exports snapshots like this one.
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()})
	if err := x.Export(context.Background(), s); err != nil {
		fmt.Println(err)
	}
	// Output: POST /api/v2/alerts [{"labels":{"alertname":"GmpulseGoroutineLeak","instance": <nil>
}
