// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/testutil"
)

// runOnDamagedStore runs a spool on a store with the given contents. Whatever they are, the
// new snapshot is delivered, the counters balance, and every delivered record is an original
// one, in order.
func runOnDamagedStore(t *testing.T, contents []byte) (delivered int, log string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "exporter.db"), contents, 0o600); err != nil {
		t.Fatal(err)
	}
	got, s, log := runOnce(t, dir, kept+1)
	if !strings.HasSuffix(" "+got, fmt.Sprintf(" %d:e", kept+1)) {
		t.Errorf("the new snapshot was not delivered, only %s", got)
	}
	if s.Snapshots.Pending != 0 {
		t.Errorf("%+v", s)
	}
	last := 0
	for one := range strings.FieldsSeq(got) {
		var seq int
		if _, err := fmt.Sscanf(one, "%d:e", &seq); err != nil || seq <= last || seq > kept+1 {
			t.Errorf("delivered %s after %d", one, last)
		}
		last = seq
		delivered++
	}
	return delivered, log
}

const kept = 200

// storeFile returns the file of a store whose records fill several pages.
func storeFile(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	leaveStore(t, dir, 1, kept)
	data, err := os.ReadFile(filepath.Join(dir, "exporter.db"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDamagedStoreIsSetAside(t *testing.T) {
	whole := storeFile(t)
	for name, test := range map[string]struct {
		contents []byte
		least    int // of the records that must be delivered
		aside    bool
	}{
		"whole":               {whole, kept + 1, false},
		"zero-padded":         {append(bytes.Clone(whole), make([]byte, 100_000)...), kept + 1, false},
		"empty":               {nil, 1, false},
		"text":                {bytes.Repeat([]byte("not a store\n"), 2000), 1, true},
		"a few bytes":         {whole[:100], 1, true},
		"zeros":               {make([]byte, len(whole)), 1, true},
		"cut":                 {whole[:len(whole)/2], 1, true},
		"cut within a page":   {whole[:len(whole)/3+1000], 1, true},
		"second half is zero": {append(bytes.Clone(whole[:len(whole)/2]), make([]byte, len(whole)/2)...), 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			n, log := runOnDamagedStore(t, test.contents)
			if n < test.least {
				t.Errorf("%d records delivered, want %d", n, test.least)
			}
			if aside := strings.Contains(log, "set aside") && strings.Contains(log, "exporter.db.damaged"); aside != test.aside {
				t.Errorf("set aside: %v, want %v, log:\n%s", aside, test.aside, log)
			}
		})
	}
}

// A wrong bit costs a record or the store, depending on its place. It never ends the process
// or stops the delivery.
func TestSpoolSurvivesBitFlips(t *testing.T) {
	whole := storeFile(t)
	aside, less := 0, 0
	for i := range 100 {
		at := i * len(whole) / 100
		if i%2 == 0 {
			at = at/4096*4096 + i%48 // the head of a page, where the tree is
		}
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1 << (i % 8)
		n, log := runOnDamagedStore(t, flipped)
		switch {
		case strings.Contains(log, "set aside"):
			aside++
		case n < kept+1:
			less++
		}
		if t.Failed() {
			t.Fatalf("bit %d of byte %d", i%8, at)
		}
	}
	t.Logf("%d stores set aside, %d with fewer records, %d whole", aside, less, 100-aside-less)
	if aside == 0 || less == 0 {
		t.Error("no flip did any damage")
	}
}

// The file is truncated while it is mapped: reading it is a fault, which must not end the
// process.
func TestSpoolSurvivesTruncationOfItsFile(t *testing.T) {
	dir := t.TempDir()
	b := &backend{}
	b.does(down)
	x, log := newSpool(t, b, spool.Config{Dir: dir})
	for seq := 1; seq <= kept; seq++ {
		export(t, x, snapshot(seq, strings.Repeat("x", 5000)))
	}
	syncSpool(t, x)
	if err := os.Truncate(filepath.Join(dir, "exporter.db"), 8192); err != nil {
		t.Fatal(err)
	}
	for seq := kept + 1; seq <= kept+20; seq++ {
		export(t, x, snapshot(seq, "e"))
	}
	b.does(nil)
	testutil.Eventually(t, "the rest is delivered", func() bool { return balanced(t, x).Snapshots.Pending == 0 })
	if got := b.seqs(); !strings.HasSuffix(got, fmt.Sprintf(" %d:e", kept+20)) || !strings.Contains(log.String(), "set aside") {
		t.Errorf("delivered …%s, log:\n%s", got[max(0, len(got)-40):], log)
	}
	stop(t, x, longDeadline)
}
