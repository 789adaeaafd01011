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

// saved is when testdata/state2 was written.
func saved() time.Time { return time.Unix(1_800_000_000, 0) }

// TestStateOfVersion2 reads what a release with version 2 of the state has written. A
// later version reads it, or learns anew; it must not take it for something else.
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
		t.Fatalf("a state of version 2 is refused: %v", err)
	}
	want := knowledge()
	for name := range want {
		if got[name] == nil || *got[name] != *want[name] {
			t.Errorf("%s: not what was written", name)
		}
	}
}

// States of other versions are refused, with one error.
func TestStateOfOtherVersions(t *testing.T) {
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

// Whatever part of a write reached the disk before the power went, the state is the old
// one or refused.
func TestStateTornByLossOfPower(t *testing.T) {
	b, err := encodeState(knowledge(), saved())
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(b); n += 13 {
		torn := bytes.Clone(b[:n])
		if _, err := decodeState(torn, saved()); err == nil {
			t.Fatalf("the first %d of %d bytes are taken for a state", n, len(b))
		}
		zeros := make([]byte, len(b)) // the length was written, the data was not
		copy(zeros, torn)
		if _, err := decodeState(zeros, saved()); err == nil {
			t.Fatalf("the first %d of %d bytes and zeros are taken for a state", n, len(b))
		}
	}
}
