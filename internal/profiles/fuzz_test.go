// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"runtime/pprof"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/profiles"
)

// A decoded profile can be encoded, decoded again and merged, as for the difference of two
// mutex profiles.
func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	if err := pprof.Lookup("threadcreate").WriteTo(&b, 0); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	z, err := gzip.NewReader(&b)
	if err != nil {
		f.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add(plain[:len(plain)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := profiles.Decode(data)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := p.Copy().WriteUncompressed(&b); err != nil {
			t.Fatalf("encode: %v", err)
		}
		again, err := profiles.Decode(b.Bytes())
		if err != nil {
			t.Fatalf("decode again: %v", err)
		}
		if len(again.Sample) != len(p.Sample) {
			t.Errorf("%d samples, want %d", len(again.Sample), len(p.Sample))
		}
		again.Scale(-1)
		_, _ = profile.Merge([]*profile.Profile{p, again}) // may fail for profiles that do not match
	})
}
