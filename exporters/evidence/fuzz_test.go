// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"encoding/json"
	"testing"
	"testing/fstest"

	"github.com/gmpulse/gmpulse/exporters/evidence"
)

// ReadManifest returns an error or a manifest that is equal after it is written and read again.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(manifest1))
	f.Add([]byte(`{"event":{"attrs":{"a":[1e308,null,{"b":"\ud800"}]},"spans":[{"age_seconds":-0}]},"resource":[{"Key":"k"}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := evidence.ReadManifest(fstest.MapFS{evidence.ManifestFile: {Data: text}})
		if err != nil {
			return
		}
		first, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("the manifest cannot be written: %v", err)
		}
		again, err := evidence.ReadManifest(fstest.MapFS{evidence.ManifestFile: {Data: first}})
		if err != nil {
			t.Fatal(err)
		}
		if second, err := json.Marshal(again); err != nil || string(second) != string(first) {
			t.Errorf("read again (%v):\n%s\nread once:\n%s", err, second, first)
		}
	})
}
