// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
	"runtime/debug"
	"runtime/pprof"
	"testing"

	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/profiles"
)

func goroutineProfile(t *testing.T, debug int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, debug); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A small file with a huge decompressed size is rejected.
func TestDecodeBoundsDecompressedSize(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for range 65 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := profiles.Decode(b.Bytes()); !errors.Is(err, profiles.ErrTooLarge) {
		t.Errorf("%d KB of zeros: %v", b.Len()>>10, err)
	}
}

func TestDecode(t *testing.T) {
	packed := goroutineProfile(t, 0)
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"packed": packed, "plain": plain} {
		p, err := profiles.Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(p.Sample) == 0 || p.SampleType[0].Type != "goroutine" {
			t.Errorf("%s: %d samples of %v", name, len(p.Sample), p.SampleType)
		}
	}
	for name, data := range map[string][]byte{
		"nothing":         nil,
		"cut short":       packed[:len(packed)/2],
		"half plain":      plain[:len(plain)/2],
		"a legacy format": goroutineProfile(t, 1),
	} {
		if p, err := profiles.Decode(data); err == nil {
			t.Errorf("%s: decoded as %v", name, p)
		}
	}
}

// A profile is not decoded if that may take more memory than there is.
func TestDecodeChecksMemory(t *testing.T) {
	data := goroutineProfile(t, 0)
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 20)) // less than the test uses
	if _, err := profiles.Decode(data); !errors.Is(err, headroom.ErrShort) {
		t.Errorf("above the limit: %v", err)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	if _, err := profiles.Decode(data); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}
