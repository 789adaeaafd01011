// SPDX-License-Identifier: Apache-2.0

package otlphttp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/otlp/otlphttp"
)

func ExampleNew() {
	// A collector that answers with an empty message.
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path)
	}))
	defer collector.Close()
	_ = os.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL) // usually set outside of the program
	defer os.Unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT")

	e, err := otlphttp.New(context.Background(), otlphttp.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Export(context.Background(), exporttest.Snapshot()))
	fmt.Println(e.Shutdown(context.Background()))
	// Output:
	// POST /v1/metrics
	// <nil>
	// <nil>
}
