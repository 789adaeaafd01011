// SPDX-License-Identifier: Apache-2.0

package compare_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/compare"
)

// Equal services have no regression, whatever the form of the records.
func TestEqualServices(t *testing.T) {
	differences, rows := 0, 0
	for _, form := range []struct {
		name string
		each int
		full bool
	}{{"every second, full", 1, true}, {"every ten seconds, full", 10, true}, {"every ten seconds, compact", 10, false}} {
		for seed := range uint64(20) {
			r := report(t, normal(2*seed).record(t, 120, form.each, form.full), normal(2*seed+1).record(t, 120, form.each, form.full))
			if x := r.Regressions(); len(x) > 0 {
				t.Errorf("%s, seed %d: %s", form.name, seed, r.Summary())
			}
			for i := range r.Rows {
				rows++
				if v := r.Rows[i].Result; v != compare.NoEvidence && v != compare.TooLittle {
					differences++
				}
			}
		}
	}
	t.Logf("%d of %d rows differ", differences, rows)
	if differences > 6 { // 5 % of the 60 comparisons are expected
		t.Errorf("%d of %d rows differ", differences, rows)
	}
}

// A change of one quantity is found in two minutes, and only there.
func TestChanges(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(*service)
		root     string
		quantity string
		want     float64
		result   compare.Result
	}{
		{"CPU", func(s *service) { s.cpu *= 1.1 }, "", "CPU per request", 0.096, compare.Regression}, // 20 ms a second are not of requests
		{"less CPU", func(s *service) { s.cpu *= 0.9 }, "", "CPU per request", -0.096, compare.Less},
		{"CPU within the margin", func(s *service) { s.cpu *= 1.04 }, "", "CPU per request", 0.04, ""},
		{"allocations", func(s *service) { s.bytes *= 1.1 }, "", "allocated bytes per request", 0.1, compare.Regression},
		{"latency", func(s *service) { s.latency *= 1.2 }, "GET /cart", "latency p50", 0.2, compare.Regression},
		{"latency", func(s *service) { s.latency *= 1.2 }, "GET /item", "latency p99", 0.2, ""},
		{"latency", func(s *service) { s.latency *= 1.2 }, "GET /item", "latency mean", 0.2, compare.Regression},
		{"less latency", func(s *service) { s.latency *= 0.8 }, "GET /item", "latency mean", -0.2, compare.Faster},
		{"errors", func(s *service) { s.failures = 0.03 }, "GET /cart", "errors", 0.028, compare.Regression},
		{"goroutines", func(s *service) { s.goroutines += 20 }, "", "goroutines", 0.25, compare.Regression},
		{"goroutines", func(s *service) { s.goroutines += 8 }, "", "goroutines", 0.1, compare.More}, // 8 goroutines are nothing
	} {
		for _, each := range []int{1, 10} {
			after := normal(2)
			c.change(&after)
			r := report(t, normal(1).record(t, 120, each, true), after.record(t, 120, each, true))
			x := row(t, r, c.root, c.quantity)
			if c.result != "" && x.Result != c.result || c.result == "" && x.Result == compare.Regression && c.root == "" {
				t.Errorf("%s, records of %d s: %s, want %s (%+v)", c.name, each, x.Result, c.result, show(x))
			}
			if *x.High-*x.Low < 0.1 && math.Abs(*x.Change-c.want) > 0.04 || *x.Low > c.want+0.02 || *x.High < c.want-0.02 {
				t.Errorf("%s, records of %d s: %s, want a change of %v", c.name, each, show(x), c.want)
			}
			for _, other := range r.Regressions() {
				if other.Root == "" != (c.root == "") || c.root == "" && other.Quantity != c.quantity {
					t.Errorf("%s, records of %d s: also %s", c.name, each, show(other))
				}
			}
		}
	}
}

func show(x compare.Row) string {
	b, _ := json.Marshal(x)
	return string(b)
}

// Compact records have less, and the report has a warning about it.
func TestCompactRecords(t *testing.T) {
	after := normal(2)
	after.cpu *= 1.1
	r := report(t, normal(1).record(t, 120, 10, false), after.record(t, 120, 10, true))
	if x := row(t, r, "", "CPU per request"); x.Result != compare.Regression {
		t.Error(show(x))
	}
	if x := row(t, r, "", "allocated bytes per request"); x.Before != nil || x.After == nil || x.Change != nil || x.Result != compare.TooLittle {
		t.Error(show(x))
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "compact") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

// Other processes make a service slower. That is no regression of it, but more CPU per request is.
func TestBusyMachine(t *testing.T) {
	after := normal(2)
	after.latency, after.cpu, after.others, after.goroutines = 0.03, 0.0055, 1.5, 120
	r := report(t, normal(1).record(t, 120, 1, true), after.record(t, 120, 1, true))
	if x := r.Regressions(); len(x) != 1 || x[0].Quantity != "CPU per request" {
		t.Errorf("regressions: %s", r.Summary())
	}
	if x := row(t, r, "GET /cart", "latency p50"); x.Result != compare.Slower || x.Judged {
		t.Error(show(x))
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "0.30 and 1.50 of 4 CPUs") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

// What differs besides the code is a warning.
func TestWarnings(t *testing.T) {
	before, after := normal(1).record(t, 120, 1, true), normal(2).record(t, 120, 10, true)
	text, err := os.ReadFile(after)
	if err != nil {
		t.Fatal(err)
	}
	write(t, after, strings.NewReplacer(`"host.name":"ci"`, `"host.name":"laptop"`, `"resource.host.name":"ci"`, `"resource.host.name":"laptop"`,
		`"go.processor.limit":4`, `"go.processor.limit":8`, "GET /item", "GET /items").Replace(string(text)))
	r := report(t, before, after)
	for _, want := range []string{
		"different machines: ci and laptop", "different values of GOMAXPROCS: 4 and 8", "different intervals between records: 1s and 10s",
		"1 root spans only before: GET /item", "1 root spans only after: GET /items",
	} {
		if !slices.Contains(r.Warnings, want) {
			t.Errorf("the warnings lack %q: %q", want, r.Warnings)
		}
	}
}

// Another mix of requests costs something else, which is no regression of the service.
func TestWarnsOfAnotherMix(t *testing.T) {
	after := normal(2)
	after.items = 0.6
	r := report(t, normal(1).record(t, 120, 1, true), after.record(t, 120, 1, true))
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "different mix of requests: GET /") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

// Only the time under load counts, after the warm-up.
func TestTimeUnderLoad(t *testing.T) {
	s := normal(1)
	s.idle = 60
	r := report(t, s.record(t, 180, 1, true), normal(2).record(t, 120, 1, true))
	if from := r.Before.From.Sub(s.instant); from < 90*time.Second || from > 92*time.Second || r.Before.Seconds < 88 {
		t.Errorf("from %v for %v s", from, r.Before.Seconds)
	}
	if from := r.After.From.Sub(normal(2).instant); from != 30*time.Second || r.After.Seconds != 90 {
		t.Errorf("from %v for %v s", from, r.After.Seconds)
	}
	_, err := compare.Compare(read(t, s.record(t, 80, 1, true)), read(t, s.record(t, 180, 1, true)), compare.Config{Warmup: 30 * time.Second})
	if err == nil || !strings.Contains(err.Error(), "-warmup") {
		t.Errorf("20 s of load: %v", err)
	}
}

// What slows two services down at the same time hides a regression, unless they were recorded together.
func TestPairedRecordings(t *testing.T) {
	for _, each := range []int{1, 10} {
		missed := 0
		for seed := range uint64(20) {
			before, equal, worse := normal(3*seed), normal(3*seed+1), normal(3*seed+2)
			before.neighbour, equal.neighbour, worse.neighbour = 0.15, 0.15, 0.15
			equal.instant, worse.instant, worse.cpu = before.instant, before.instant, worse.cpu*1.12
			r := report(t, before.record(t, 150, each, true), equal.record(t, 150, each, true))
			if x := r.Regressions(); len(x) > 0 || !r.Paired || len(r.Sentences()) != 3 {
				t.Errorf("records of %d s, seed %d: paired %v, %s", each, seed, r.Paired, r.Summary())
			}
			r = report(t, before.record(t, 150, each, true), worse.record(t, 150, each, true))
			if x := row(t, r, "", "CPU per request"); x.Result != compare.Regression {
				missed++
			}
			worse.instant = worse.instant.Add(time.Minute)
			r = report(t, before.record(t, 150, each, true), worse.record(t, 150, each, true))
			if x := row(t, r, "", "CPU per request"); r.Paired || x.Result == compare.Regression {
				t.Errorf("records of %d s, seed %d, recorded a minute apart: paired %v, %s", each, seed, r.Paired, show(x))
			}
		}
		if missed > 1 {
			t.Errorf("records of %d s: %d of 20 regressions missed", each, missed)
		}
	}
}

// A file may have an earlier process, an incomplete line, and a record without spans.
func TestDamagedRecordings(t *testing.T) {
	path := normal(3).record(t, 100, 1, true)
	second := normal(1)
	second.instant = normal(3).instant.Add(time.Hour)
	second.append(t, path, 120, 1, true)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines[200] = bytes.ReplaceAll(bytes.ReplaceAll(lines[200], []byte("gmpulse.root_spans"), []byte("x")), []byte("root_spans"), []byte("y"))
	lines[180] = lines[180][:100]
	damaged := write(t, filepath.Join(t.TempDir(), "damaged.jsonl"), string(bytes.Join(lines, nil)))
	r := report(t, damaged, normal(2).record(t, 120, 1, true))
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "2 processes") {
		t.Errorf("warnings %q", r.Warnings)
	}
	if n := r.Before.Requests; n < 8000 || n > 10_000 || r.Before.From.Before(second.instant) {
		t.Errorf("%v requests from %v", n, r.Before.From)
	}
	for i := range r.Rows {
		if v := r.Rows[i].Result; v != compare.NoEvidence && v != compare.TooLittle {
			t.Error(show(r.Rows[i]))
		}
	}
}

// A bundle has its samples in a compressed file.
func TestBundles(t *testing.T) {
	text, err := os.ReadFile(normal(1).record(t, 120, 1, true))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(text)
	_ = z.Close()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "samples.ndjson.gz"), packed.String())
	var archive bytes.Buffer
	zw := zip.NewWriter(&archive)
	f, _ := zw.Create("captures/20261130T120000.000Z-a1b2c3-leak/samples.ndjson.gz")
	_, _ = f.Write(packed.Bytes())
	_ = zw.Close()
	zipped := write(t, filepath.Join(t.TempDir(), "incident.zip"), archive.String())
	compressed := write(t, filepath.Join(t.TempDir(), "gmpulse.jsonl.gz"), packed.String())
	for _, path := range []string{dir, zipped, compressed} {
		if r := report(t, path, path); r.Before.Requests != r.After.Requests || r.Before.Requests < 8000 || len(r.Regressions()) > 0 {
			t.Errorf("%s: %+v", path, r.Before)
		}
	}
}

// A service without spans is compared by time.
func TestNoSpans(t *testing.T) {
	path := normal(1).record(t, 120, 1, true)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bare := write(t, path, strings.NewReplacer("gmpulse.root_spans", "x", "root_spans", "y").Replace(string(text)))
	r := report(t, bare, bare)
	if x := row(t, r, "", "CPU per second"); *x.Before < 0.4 || *x.Before > 0.6 || x.Result != compare.NoEvidence {
		t.Error(show(x))
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "no requests") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

func TestOpenRefusesWhatIsNoRecording(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"): "no such file",
		dir:                           "not a bundle",
		write(t, filepath.Join(dir, "text"), "hello\n"):              "not JSON",
		write(t, filepath.Join(dir, "empty"), ""):                    "no records",
		write(t, filepath.Join(dir, "other"), `{"a":1}`+"\n"):        "no records",
		write(t, filepath.Join(dir, "bad.zip"), "PK"):                "zip",
		write(t, filepath.Join(dir, "bad.gz"), "\x1f\x8bxxxxxxxxxx"): "gzip",
	} {
		if _, err := compare.Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
