// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
)

// The library's remark about a missing acknowledgement ends its line, so that the
// application's next one stands on a line of its own.
func TestRemarkOfTheLibraryEndsItsLine(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = w
	p := newPeer(t, dropUnacked)
	e := newExporter(t, fluentd.Config{URL: p.URL(), AckTimeout: 200 * time.Millisecond})
	exportErr := e.Export(t.Context(), snapshot(1))
	_ = e.Shutdown(context.Background()) // the worker is idle
	os.Stderr = old
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(r)
	if err != nil || exportErr == nil {
		t.Fatalf("%v, export: %v", err, exportErr)
	}
	if text := string(said); !strings.Contains(text, "Closing connection...") || !strings.HasSuffix(text, "\n") {
		t.Errorf("on stderr: %q", text)
	}
}

// Plain TCP to a server that wants TLS: the error says so, and what to write.
func TestPlainToTLSServer(t *testing.T) {
	_, url, _ := secured(t)
	e := newExporter(t, fluentd.Config{URL: strings.Replace(url, "tls://", "tcp://", 1)})
	for range 2 {
		err := e.Export(t.Context(), snapshot(1))
		if err == nil || !strings.Contains(err.Error(), "use tls://") {
			t.Errorf("%v", err)
		}
	}
}
