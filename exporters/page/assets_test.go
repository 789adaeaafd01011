// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// What is built in is what lies in assets, and at most 80 KB: all of it is loaded
// by a browser. With -update it is written.
func TestPackedAreTheAssets(t *testing.T) {
	if flag.Lookup("update").Value.String() == "true" {
		update(t)
	}
	all := files(t, "*")
	total := 0
	for _, file := range all {
		b, err := os.ReadFile(filepath.Join("packed", file.name+".gz"))
		if err != nil || !bytes.Equal(unpacked(b), file.text) {
			t.Errorf("packed/%s.gz is not assets/%[1]s: go test ./exporters/page -update (error: %v)", file.name, err)
		}
		total += len(b)
	}
	t.Logf("%d bytes", total)
	if total > 80<<10 {
		t.Errorf("%d bytes packed, want at most 80 KB", total)
	}
	names, err := fs.Glob(os.DirFS("packed"), "*")
	if err != nil || len(names) != len(all) {
		t.Errorf("packed has %d files and assets %d: go test ./exporters/page -update (error: %v)", len(names), len(all), err)
	}
}

// update leaves files as they are that only another gzip would write otherwise.
func update(t *testing.T) {
	t.Helper()
	old := map[string][]byte{}
	stale, err := filepath.Glob("packed/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stale {
		if old[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files(t, "*") {
		path := filepath.Join("packed", file.name+".gz")
		b := old[path]
		if !bytes.Equal(unpacked(b), file.text) {
			b = best(t, file.text)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func best(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpacked returns nil for what is no gzip.
func unpacked(b []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil
	}
	return text
}
