// SPDX-License-Identifier: Apache-2.0

package otlpprofiles_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/pprof"
	"time"

	"github.com/gmpulse/gmpulse/exporters/otlp/otlpprofiles"
)

func ExampleExporter_Enqueue() {
	// A collector that answers with an empty message.
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path)
	}))
	defer collector.Close()
	_ = os.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL) // usually set outside of the program
	defer os.Unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT")

	e, err := otlpprofiles.New(otlpprofiles.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 0); err != nil {
		fmt.Println(err)
	}
	e.Enqueue("goroutine", time.Now(), time.Now(), b.Bytes())
	fmt.Println(e.Shutdown(context.Background())) // an agent does this if it has the exporter
	// Output:
	// POST /v1development/profiles
	// <nil>
}
