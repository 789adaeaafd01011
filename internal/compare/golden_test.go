// SPDX-License-Identifier: Apache-2.0

package compare_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/compare"
)

var update = flag.Bool("update", false, "write testdata/recording1-*, which must not change: a new form of records gets new files")

// forms are the forms of the records of version 1: those for log shippers, and full ones as of
// a page or a bundle.
var forms = []string{"compact", "full"}

func goldenPath(form, side string) string {
	return filepath.Join("testdata", "recording1-"+form+"-"+side+".jsonl.gz")
}

// Every version compares the recordings of earlier ones.
func TestRecordingsOfAllVersions(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	for _, form := range forms {
		compareGolden(t, form, goldenPath(form, "before"), goldenPath(form, "after"))
	}
}

// Records of a later version may have more fields, of any type, and be of more kinds.
func TestRecordingsOfALaterVersion(t *testing.T) {
	later := func(path string) string {
		var b strings.Builder
		for line := range strings.Lines(unpacked(t, path)) {
			b.WriteString(strings.Replace(line, "{", `{"future":{"field":[1,"a",null]},"gmpulse.future":{"a":1},`, 1))
			b.WriteString(strings.Replace(line, `"record":"runtime"`, `"record":"future","gmpulse.cpu.used":1e9`, 1))
		}
		return write(t, filepath.Join(t.TempDir(), "later.jsonl"), b.String())
	}
	for _, form := range forms {
		compareGolden(t, form, later(goldenPath(form, "before")), later(goldenPath(form, "after")))
	}
}

// compareGolden compares a service with one that uses a fifth more CPU per request.
func compareGolden(t *testing.T, form, before, after string) {
	t.Helper()
	r := report(t, before, after)
	if a, b := read(t, before).Len(), read(t, after).Len(); a != 12 || b != 12 || r.Before.Requests < 8000 || r.Before.Service != "shop" {
		t.Errorf("%s: %d and %d records, want 12: %+v, %+v", form, a, b, r.Before, r.After)
	}
	x := row(t, r, "", "CPU per request")
	if x.Result != compare.Regression || *x.Change < 0.15 || *x.Change > 0.23 {
		t.Errorf("%s: %s, want a regression of 19 %%", form, show(x))
	}
	if n := len(r.Regressions()); n != 1 {
		t.Errorf("%s: %d regressions, want the CPU per request only: %s", form, n, r.Summary())
	}
	if form == "full" {
		if x := row(t, r, "GET /cart", "latency p50"); *x.Before < 0.018 || *x.Before > 0.022 {
			t.Errorf("the latency of GET /cart: %s, want 20 ms", show(x))
		}
	}
}

func writeGolden(t *testing.T) {
	t.Helper()
	slower := normal(2)
	slower.cpu *= 1.2
	for side, s := range map[string]service{"before": normal(1), "after": slower} {
		for _, form := range forms {
			text, err := os.ReadFile(s.record(t, 120, 10, form == "full"))
			if err != nil {
				t.Fatal(err)
			}
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			_, _ = z.Write(text)
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			write(t, goldenPath(form, side), packed.String())
		}
	}
}

func unpacked(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
