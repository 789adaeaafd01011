// SPDX-License-Identifier: Apache-2.0

package jsonl_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/jsonl"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

var update = flag.Bool("update", false, "write the golden file")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		return newExporter(t, jsonl.Config{Path: filepath.Join(t.TempDir(), "gmpulse.jsonl")})
	})
}

func TestConformanceWhileRotating(t *testing.T) {
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		return newExporter(t, jsonl.Config{Path: filepath.Join(t.TempDir(), "gmpulse.jsonl"), MaxBytes: 1, MaxFiles: 2})
	})
}

func newExporter(t *testing.T, c jsonl.Config) *jsonl.Exporter {
	t.Helper()
	e, err := jsonl.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return e
}

// small returns a snapshot with a short line. The length of the line is the same for
// every seq below 10,000.
func small(seq uint64) *runtimeinfo.Snapshot {
	s := runtimeinfo.NewSnapshot()
	s.Seq = 10000 + seq
	s.Time = exporttest.Snapshot().Time
	return s
}

// smallLine is the length in bytes of the line of a small snapshot.
const smallLine = int64(len(`{"@timestamp":"2026-01-02T03:04:05.678Z","id":"/-1fmlvpbbdw2yo/10000","record":"runtime","seq":10000,"ticks":1}` + "\n"))

func export(t *testing.T, e exporters.Exporter, snapshots ...*runtimeinfo.Snapshot) {
	t.Helper()
	for _, s := range snapshots {
		if err := e.Export(t.Context(), s); err != nil {
			t.Fatalf("snapshot %d: %v", s.Seq, err)
		}
	}
}

// seqs parses a file and returns the seq of each line, as passed to small.
func seqs(t *testing.T, path string) []int {
	t.Helper()
	var all []int
	for line := range bytes.Lines(read(t, path)) {
		var r struct{ Seq int }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Errorf("%s: line %q: %v", path, line, err)
		}
		all = append(all, r.Seq-10000)
	}
	return all
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOutputMatchesTheGoldenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	e := newExporter(t, jsonl.Config{Path: path})
	export(t, e, exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()}))
	got := read(t, path)

	const golden = "testdata/snapshot.jsonl"
	if *update {
		write(t, golden, string(got))
	}
	if want := read(t, golden); !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s\nIf the change is intended: go test ./exporters/jsonl -update", got, want)
	}
}

// TestLinesParseToTheRecords reads the lines with encoding/json and compares them with
// the records.
func TestLinesParseToTheRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	event := exporttest.Event()
	event.Message = "a<b>&c\n\xff"
	event.Time = event.Time.In(time.FixedZone("", 3600))
	event.Attrs = append(event.Attrs, slog.Float64("nan", math.NaN()), slog.Uint64("max", math.MaxUint64))
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{event})
	export(t, newExporter(t, jsonl.Config{Path: path}), s)

	lines := slices.Collect(bytes.Lines(read(t, path)))
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2", len(lines))
	}
	checkLine(t, lines[0], "runtime", "2026-01-02T03:04:05.678Z", maps.Collect(exporters.Record(s)))
	checkLine(t, lines[1], "event", "2026-01-02T03:04:05.578Z", maps.Collect(exporters.EventRecord(s, &event)))
	if want := `"message":"a<b>&c\n` + "\uFFFD" + `"`; !bytes.Contains(lines[1], []byte(want)) {
		t.Errorf("line %s, want %s in it", lines[1], want)
	}
}

func checkLine(t *testing.T, line []byte, kind, at string, record map[string]any) {
	t.Helper()
	record["record"], record["@timestamp"] = kind, at
	var got map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if want := numbers(record); !reflect.DeepEqual(got, want) {
		t.Errorf("line\n got %v\nwant %v", got, want)
	}
}

// numbers converts the numbers within a value to json.Number.
func numbers(v any) any {
	switch v := v.(type) {
	case uint64, float64:
		n, _ := json.Marshal(v)
		return json.Number(n)
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

func TestRotationBySize(t *testing.T) {
	tests := []struct {
		maxBytes int64
		maxFiles int
		write    int
		want     [][]int // seqs of path, path.1, ...
	}{
		{3 * smallLine, 3, 3, [][]int{{1, 2, 3}}},
		{3 * smallLine, 3, 4, [][]int{{4}, {1, 2, 3}}},
		{3*smallLine + 1, 3, 4, [][]int{{4}, {1, 2, 3}}},
		{3*smallLine - 1, 3, 4, [][]int{{3, 4}, {1, 2}}},
		{3 * smallLine, 3, 10, [][]int{{10}, {7, 8, 9}, {4, 5, 6}}},
		{3 * smallLine, 1, 5, [][]int{{4, 5}}},
		{3 * smallLine, 2, 7, [][]int{{7}, {4, 5, 6}}},
		{1, 4, 3, [][]int{{3}, {2}, {1}}}, // no line fits: one line per file
		{0, 0, 1000, [][]int{count(1000)}},
		{smallLine, 0, 9, [][]int{{9}, {8}, {7}, {6}, {5}}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("bytes=%d,files=%d,lines=%d", tt.maxBytes, tt.maxFiles, tt.write), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
			e := newExporter(t, jsonl.Config{Path: path, MaxBytes: tt.maxBytes, MaxFiles: tt.maxFiles})
			for seq := range tt.write {
				export(t, e, small(uint64(seq)+1))
			}
			if got := files(t, path); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("files %v, want %v", got, tt.want)
			}
		})
	}
}

func count(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// files returns the seqs in path, path.1 and so on. There must be no other files.
func files(t *testing.T, path string) [][]int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	all := [][]int{seqs(t, path)}
	for i := 1; i < len(entries); i++ {
		all = append(all, seqs(t, fmt.Sprintf("%s.%d", path, i)))
	}
	return all
}

// TestRotationKeepsABatchTogether checks that events are in the same file as their
// snapshot, and that every record is written exactly once.
func TestRotationKeepsABatchTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	e := newExporter(t, jsonl.Config{Path: path, MaxBytes: 16 << 10, MaxFiles: 100})
	const n = 50
	for seq := range n {
		export(t, e, small(uint64(seq)+1).WithEvents(slices.Repeat([]runtimeinfo.Event{exporttest.Event()}, seq%7)))
	}
	got := files(t, path)
	if len(got) < 5 {
		t.Fatalf("%d files, want several", len(got))
	}
	slices.Reverse(got)
	var want, all []int
	for seq := range n {
		want = append(want, slices.Repeat([]int{seq + 1}, 1+seq%7)...)
	}
	for i, f := range got {
		all = append(all, f...)
		if i > 0 && got[i-1][len(got[i-1])-1] == f[0] {
			t.Errorf("snapshot %d is in two files", f[0])
		}
	}
	if !slices.Equal(all, want) {
		t.Errorf("seqs over all files %v, want %v", all, want)
	}
}

func TestRotationContinuesAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	for seq := range 5 {
		e := newExporter(t, jsonl.Config{Path: path, MaxBytes: 2 * smallLine, MaxFiles: 3})
		export(t, e, small(uint64(seq)+1))
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := files(t, path), [][]int{{5}, {3, 4}, {1, 2}}; !reflect.DeepEqual(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

// TestFailedRotationLosesNothing blocks one rename with a directory, three times.
func TestFailedRotationLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	e := newExporter(t, jsonl.Config{Path: path, MaxBytes: smallLine, MaxFiles: 3})
	export(t, e, small(1), small(2))
	if err := os.MkdirAll(path+".2/x", 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := e.Export(t.Context(), small(3)); err == nil {
			t.Fatal("a rotation onto a directory succeeded")
		}
	}
	if err := os.RemoveAll(path + ".2"); err != nil {
		t.Fatal(err)
	}
	export(t, e, small(3), small(4))
	if got, want := files(t, path), [][]int{{4}, {3}, {2}}; !reflect.DeepEqual(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

// TestRotationFillsAGap starts with the files that a crash between two renames leaves.
func TestRotationFillsAGap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	e := newExporter(t, jsonl.Config{Path: path, MaxBytes: smallLine, MaxFiles: 4})
	export(t, e, small(1), small(2), small(3))
	if err := os.Rename(path+".2", path+".3"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".1", path+".2"); err != nil {
		t.Fatal(err)
	}
	export(t, e, small(4))
	if got, want := files(t, path), [][]int{{4}, {3}, {2}, {1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

func TestIncompleteLineIsTerminated(t *testing.T) {
	const torn = `{"@timestamp":"2026-01-0`
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	write(t, path, torn)
	export(t, newExporter(t, jsonl.Config{Path: path}), small(1), small(2))
	lines := strings.SplitAfter(string(read(t, path)), "\n")
	if len(lines) != 4 || lines[0] != torn+"\n" || int64(len(lines[1])) != smallLine || int64(len(lines[2])) != smallLine || lines[3] != "" {
		t.Errorf("lines %q, want the incomplete line and two complete ones", lines)
	}
}

// TestRotationCountsTheEndOfAnIncompleteLine has an incomplete line after which one more
// line fits only without the line break between them.
func TestRotationCountsTheEndOfAnIncompleteLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	for spare, want := range map[int64]int64{0: smallLine, 1: 10 + 1 + smallLine} {
		write(t, path, "0123456789")
		e := newExporter(t, jsonl.Config{Path: path, MaxBytes: 10 + smallLine + spare, MaxFiles: 2})
		export(t, e, small(1))
		if got := int64(len(read(t, path))); got != want {
			t.Errorf("%d more bytes: the file has %d bytes, want %d", spare, got, want)
		}
	}
}

func TestFileIsReadableByItsOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	export(t, newExporter(t, jsonl.Config{Path: path}), small(1))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %o, want 600", got)
	}
}

// TestFileChangedByOthers does what logrotate and users do.
func TestFileChangedByOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not allow to move or remove an open file")
	}
	tests := map[string]struct {
		change func(path string) error
		want   []int
	}{
		"nothing":      {func(string) error { return nil }, []int{1, 2}},
		"moved":        {func(path string) error { return os.Rename(path, path+".old") }, []int{2}},
		"removed":      {os.Remove, []int{2}},
		"emptied":      {func(path string) error { return os.Truncate(path, 0) }, []int{2}},
		"replaced":     {replace, []int{2}},
		"in a new dir": {func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".old") }, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			mkdir(t, dir)
			path := filepath.Join(dir, "gmpulse.jsonl")
			e := newExporter(t, jsonl.Config{Path: path})
			export(t, e, small(1))
			if err := tt.change(path); err != nil {
				t.Fatal(err)
			}
			if tt.want == nil {
				if err := e.Export(t.Context(), small(2)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("error %v, want %v", err, fs.ErrNotExist)
				}
				return
			}
			export(t, e, small(2))
			if got := seqs(t, path); !slices.Equal(got, tt.want) {
				t.Errorf("lines %v, want %v", got, tt.want)
			}
		})
	}
}

func replace(path string) error {
	if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestSymlinkIsNotRotated(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "gmpulse.jsonl"), filepath.Join(t.TempDir(), "target")
	if err := os.Symlink(target, path); err != nil {
		t.Skip(err)
	}
	export(t, newExporter(t, jsonl.Config{Path: path, MaxBytes: 1}), small(1), small(2))
	if got, want := files(t, path), [][]int{{1, 2}}; !reflect.DeepEqual(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

func TestNewRejectsInvalidConfigs(t *testing.T) {
	tests := []struct {
		config jsonl.Config
		want   []string // in the error; nil: no error
	}{
		{jsonl.Config{Path: "x"}, nil},
		{jsonl.Config{}, []string{"jsonl: Config.Path is empty; set"}},
		{jsonl.Config{Path: "x", MaxBytes: -1}, []string{"jsonl: Config.MaxBytes is -1; set"}},
		{jsonl.Config{Path: "x", MaxFiles: -2}, []string{"jsonl: Config.MaxFiles is -2; set"}},
		{jsonl.Config{MaxBytes: -1, MaxFiles: -2}, []string{"Config.Path", "Config.MaxBytes", "Config.MaxFiles"}},
	}
	for _, tt := range tests {
		_, err := jsonl.New(tt.config)
		if (err == nil) != (tt.want == nil) {
			t.Errorf("%+v: error %v", tt.config, err)
		}
		for _, want := range tt.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: error %q, want %q in it", tt.config, err, want)
			}
		}
	}
}

// TestExportRetriesAfterTheDirectoryWasCreated creates the directory after the first
// Export.
func TestExportRetriesAfterTheDirectoryWasCreated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	path := filepath.Join(dir, "gmpulse.jsonl")
	e := newExporter(t, jsonl.Config{Path: path})
	if err := e.Export(t.Context(), small(1)); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want %v and the path", err, fs.ErrNotExist)
	}
	mkdir(t, dir)
	export(t, e, small(2))
	if got := seqs(t, path); !slices.Equal(got, []int{2}) {
		t.Errorf("lines %v, want [2]", got)
	}
}

func TestExportReturnsErrPermission(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("permissions do not apply to this user")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	e := newExporter(t, jsonl.Config{Path: filepath.Join(dir, "gmpulse.jsonl")})
	if err := e.Export(t.Context(), small(1)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %v, want %v", err, fs.ErrPermission)
	}
}

func TestExportToADirectoryFails(t *testing.T) {
	e := newExporter(t, jsonl.Config{Path: t.TempDir()})
	if err := e.Export(t.Context(), small(1)); err == nil {
		t.Error("no error for a directory")
	}
}

func TestExportWithACanceledContextWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
	e := newExporter(t, jsonl.Config{Path: path})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Export(ctx, small(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of the file: %v, want it absent", err)
	}
}

func TestRelativePathIsResolvedInNew(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	e := newExporter(t, jsonl.Config{Path: "gmpulse.jsonl"})
	t.Chdir(t.TempDir())
	export(t, e, small(1))
	if got := seqs(t, filepath.Join(dir, "gmpulse.jsonl")); !slices.Equal(got, []int{1}) {
		t.Errorf("lines %v, want [1]", got)
	}
}

// BenchmarkExport writes a snapshot with a value of every metric of the catalogue.
func BenchmarkExport(b *testing.B) {
	path := filepath.Join(b.TempDir(), "gmpulse.jsonl")
	e, err := jsonl.New(jsonl.Config{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	s := everyMetric()
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Export(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
	if err := e.Shutdown(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(lineLength(b, path)), "B/line")
}

func lineLength(b *testing.B, path string) int {
	b.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return bytes.IndexByte(data, '\n') + 1
}

func everyMetric() *runtimeinfo.Snapshot {
	var points []runtimeinfo.Point
	for _, m := range catalogue.All() {
		p := runtimeinfo.Point{Metric: m, Number: 12345.678, Labels: make([]string, len(m.Keys))}
		if m.Kind == runtimeinfo.KindHistogram {
			p.Histogram = &runtimeinfo.Histogram{Counts: []uint64{1}}
		}
		points = append(points, p)
	}
	s := runtimeinfo.NewSnapshot(points...)
	s.Time, s.Resource, s.Spans = exporttest.Snapshot().Time, exporttest.Snapshot().Resource, exporttest.Snapshot().Spans
	return s
}
