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

// The library writes to os.Stderr when an acknowledgement is missing, without a newline.
func TestLibraryOutputEndsWithANewline(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = w
	p := newPeer(t, dropUnacked)
	e := newExporter(t, fluentd.Config{URL: p.URL(), AckTimeout: 200 * time.Millisecond})
	exportErr := e.Export(t.Context(), snapshot(1))
	_ = e.Shutdown(context.Background()) // waits for the worker
	os.Stderr = old
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil || exportErr == nil {
		t.Fatalf("%v, export: %v", err, exportErr)
	}
	if out := string(text); !strings.Contains(out, "Closing connection...") || !strings.HasSuffix(out, "\n") {
		t.Errorf("on stderr: %q", out)
	}
}

func TestErrorSuggestsTLS(t *testing.T) {
	_, url, _ := tlsPeer(t)
	e := newExporter(t, fluentd.Config{URL: strings.Replace(url, "tls://", "tcp://", 1)})
	for range 2 {
		err := e.Export(t.Context(), snapshot(1))
		if err == nil || !strings.Contains(err.Error(), "use tls://") {
			t.Errorf("%v", err)
		}
	}
}
