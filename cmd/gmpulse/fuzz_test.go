// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/gmpulse/gmpulse/internal/manifest"
)

// For any bundle, inspect returns and prints no control characters.
func FuzzInspect(f *testing.F) {
	f.Add([]byte(`{"reason":"grew","verdicts":[{"kind":"leak","count":7,"growth_per_minute":1e300,"created_under":[{"name":"GET /","count":3}]}],
		"groups":[{"count":-7,"base":9223372036854775807,"wait":"chan\tsend"}],"base_time":"2026-01-02T03:04:05Z",
		"event":{"name":"span.slow","spans":[{"span_id":"\u001b[2J"}]},
		"files":[{"name":"execution.trace","bytes":-1},{"name":"-x'\n.pb.gz"}],"skipped":[{"what":"a","why":"b"}],"skipped_captures":[{"cause":"c"}],
		"resource":[{"Key":"service.name","Value":"\u009b31m"}]}`), []byte(`{"active":[{"name":"\u202e","age_seconds":-1e308}],"concerned":[{}]}`), []byte("go 1.26 trace\x00\x00\x00"))
	f.Add([]byte(`{}`), []byte(`[]`), []byte{})
	f.Add([]byte(`null`), []byte(`{"active":null}`), []byte("x"))
	f.Fuzz(func(t *testing.T, description, spans, trace []byte) {
		dir := t.TempDir()
		for name, data := range map[string][]byte{manifest.Name: description, "spans.json": spans, traceName: trace} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out, diagnostics bytes.Buffer
		run(t.Context(), []string{"inspect", dir}, &out, &diagnostics)
		for _, text := range [][]byte{out.Bytes(), diagnostics.Bytes()} {
			if !utf8.Valid(text) {
				t.Errorf("not UTF-8: %q", text)
			}
			for _, r := range string(text) {
				if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
					t.Fatalf("control character %q in %q", r, text)
				}
			}
		}
	})
}
