// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/state2, which must not change: a new version gets a new file")

// saved is the time at which testdata/state2 was written.
func saved() time.Time { return time.Unix(1_800_000_000, 0) }

// The state that a release with version 2 has written is decoded. A later version decodes it
// or rejects it.
func TestStateOfVersion2(t *testing.T) {
	const file = "testdata/state2"
	if *update {
		b, err := encodeState(knowledge(), saved())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeState(b, saved().Add(time.Hour))
	if err != nil {
		t.Fatalf("a state of version 2 is rejected: %v", err)
	}
	want := knowledge()
	for name := range want {
		if got[name] == nil || *got[name] != *want[name] {
			t.Errorf("%s: differs from what was written", name)
		}
	}
}

func TestOtherVersionsAreRejected(t *testing.T) {
	b, err := encodeState(knowledge(), saved())
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1", "3", "9", "x"} {
		other := bytes.Replace(b, []byte("baselines 2"), []byte("baselines "+version), 1)
		if _, err := decodeState(other, saved()); !errors.Is(err, errState) {
			t.Errorf("version %s: %v", version, err)
		}
	}
}

// After a power failure during a write the file may be truncated or padded with zeros.
func TestPartialStateIsRejected(t *testing.T) {
	b, err := encodeState(knowledge(), saved())
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(b); n += 13 {
		torn := bytes.Clone(b[:n])
		if _, err := decodeState(torn, saved()); err == nil {
			t.Fatalf("the first %d of %d bytes decode as a state", n, len(b))
		}
		zeros := make([]byte, len(b)) // the length was written, the data was not
		copy(zeros, torn)
		if _, err := decodeState(zeros, saved()); err == nil {
			t.Fatalf("the first %d of %d bytes and zeros decode as a state", n, len(b))
		}
	}
}
