// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/dead.jsonl, and testdata/store2.db.gz, which must not change once its version of the encoding is released: a later version gets a new file")

// Every version delivers the stores that earlier versions have written. The number of a file is the version
// of the encoding of its records.
func TestStoresOfAllVersions(t *testing.T) {
	const newest = "testdata/store2.db.gz"
	if *update {
		b := contentsOf(t, fillStore(t, t.TempDir(), "exporter.db", 7))
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(b)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(newest, packed.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"testdata/store1.db.gz", newest} {
		t.Run(file, func(t *testing.T) { deliverStore(t, file) })
	}
}

// deliverStore delivers a store of seven records.
func deliverStore(t *testing.T, file string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(contentsOf(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getpagesize() != 4096 {
		t.Skip("bbolt files have the page size of the machine that made them")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "exporter.db"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	n, s, log := runToEnd(t, Config{Dir: dir, MaxAge: 100 * 365 * 24 * time.Hour})
	if n != 8 || s.Snapshots.Recovered != 7 || s.Snapshots.Lost() != 0 {
		t.Errorf("%d delivered, want 7 of the store and one more: %+v\n%s", n, s.Snapshots, log)
	}
}
