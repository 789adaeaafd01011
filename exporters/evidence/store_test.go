// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newProfiler returns a running profiler of this process.
func newProfiler(t *testing.T, c profiler.Config) *profiler.Profiler {
	t.Helper()
	p, err := profiler.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	t.Cleanup(wg.Wait)
	t.Cleanup(cancel)
	return p
}

// newStore returns a store that the test shuts down at its end.
func newStore(t *testing.T, c evidence.Config) *evidence.Store {
	t.Helper()
	c.MinFree = 1
	if c.ProfileFor == 0 {
		c.ProfileFor = 10 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := evidence.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// snapshots returns a function that returns snapshots of this process with events.
func snapshots() func(events ...runtimeinfo.Event) *runtimeinfo.Snapshot {
	r := sampler.NewReader(sampler.Config{Resource: []runtimeinfo.Attr{{Key: "service.name", Value: "checkout"}}})
	return func(events ...runtimeinfo.Event) *runtimeinfo.Snapshot {
		r.Read(sampler.Tick{Time: time.Now()})
		return r.Snapshot().WithEvents(events)
	}
}

func leakEvent(site string, n int) runtimeinfo.Event {
	return runtimeinfo.Event{
		Time: time.Now(), Name: "goroutine.verdict.opened", Severity: slog.LevelError, Message: "leak: the goroutines do not end",
		Attrs: []slog.Attr{slog.String("site", site), slog.Int("goroutines", n), slog.Float64("nan", nan())},
		Spans: []runtimeinfo.Span{{Name: "GET /cart", TraceID: [16]byte{1}, SpanID: [8]byte{2}, Start: time.Now()}},
	}
}

func nan() float64 { z := 0.0; return z / z }

// bundles returns the IDs of all bundles.
func bundles(t *testing.T, s *evidence.Store) (ids []string) {
	t.Helper()
	entries, err := fs.ReadDir(s, ".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids
}

func manifest(t *testing.T, s *evidence.Store, id string) *evidence.Manifest {
	t.Helper()
	sub, err := fs.Sub(s, id)
	if err != nil {
		t.Fatal(err)
	}
	m, err := evidence.ReadManifest(sub)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func leak(stop <-chan struct{}) { <-stop }

// go tool pprof and go tool trace open the files of a bundle.
func TestBundleOpensWithGoTools(t *testing.T) {
	recorder, err := exectrace.New(exectrace.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var report atomic.Pointer[goroutines.Report]
	report.Store(&goroutines.Report{})
	dir := filepath.Join(t.TempDir(), "evidence")
	p := newProfiler(t, profiler.Config{For: 100 * time.Millisecond, Every: 200 * time.Millisecond})
	s := newStore(t, evidence.Config{Dir: dir, Trace: recorder.WriteTrace, Goroutines: func() goroutines.Report { return *report.Load() }, Profiler: p, ProfileFor: 100 * time.Millisecond})
	next := snapshots()
	survey := func() (waiting int) {
		got, err := goroutines.TakeSurvey(t.Context(), goroutines.SurveyConfig{})
		if err != nil {
			t.Fatal(err)
		}
		report.Store(&goroutines.Report{Survey: got})
		for i := range got.Groups {
			if strings.HasSuffix(got.Groups[i].Site.Function, "evidence_test.leak") {
				waiting += got.Groups[i].Count
			}
		}
		return waiting
	}
	survey()
	if err := s.Export(t.Context(), next()); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "profiles of a healthy time", func() bool {
		return len(p.Healthy(profiler.Goroutine, time.Now())) > 0 && len(p.Healthy(profiler.CPU, time.Now())) > 1
	})

	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() { leak(stop) })
	}
	defer wg.Wait()
	defer close(stop)
	testutil.Eventually(t, "the goroutines wait", func() bool { return survey() == 300 })
	e := leakEvent("checkout.leak", 300)
	e.Attrs = append(e.Attrs, slog.String("signal", "cpu"))
	if err := s.Export(t.Context(), next(e)); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "a bundle", func() bool { return s.Stats().Made == 1 })
	id := bundles(t, s)[0]
	m := manifest(t, s, id)
	checkManifest(t, m, id)
	checkModes(t, dir)
	checkFiles(t, filepath.Join(dir, id), m)
}

// checkFiles asserts that the tools open the files of a bundle and show the leaked goroutines.
func checkFiles(t *testing.T, path string, m *evidence.Manifest) {
	t.Helper()
	for _, f := range m.Files {
		info, err := os.Stat(filepath.Join(path, f.Name))
		if err != nil || info.Size() != int64(f.Bytes) {
			t.Errorf("%s: %v, want %d bytes", f.Name, err, f.Bytes)
		}
		switch {
		case strings.HasSuffix(f.Name, ".pb.gz"):
			tool(t, "pprof", "-top", filepath.Join(path, f.Name))
		case strings.HasSuffix(f.Name, ".trace"):
			if out := tool(t, "trace", "-d=parsed", filepath.Join(path, f.Name)); !strings.Contains(out, "evidence_test.leak") {
				t.Error("the trace does not contain the leaked goroutines")
			}
		}
	}
	for _, kind := range []string{"goroutine", "heap", "cpu"} {
		command := "go tool pprof -http=: -diff_base " + kind + ".base.pb.gz " + kind + ".pb.gz"
		if !slices.Contains(m.Compare, command) {
			t.Errorf("the manifest does not have %q: %q", command, m.Compare)
		}
		tool(t, "pprof", "-top", "-diff_base="+filepath.Join(path, kind+".base.pb.gz"), filepath.Join(path, kind+".pb.gz"))
	}
	if out := tool(t, "pprof", "-top", "-diff_base="+filepath.Join(path, "goroutine.base.pb.gz"), filepath.Join(path, "goroutine.pb.gz")); !strings.Contains(out, "300") {
		t.Errorf("the difference to the reference profile does not show the leaked goroutines:\n%s", out)
	}
	checkSamples(t, filepath.Join(path, "samples.ndjson.gz"))
}

func checkManifest(t *testing.T, m *evidence.Manifest, id string) {
	t.Helper()
	names := make([]string, len(m.Files))
	for i, f := range m.Files {
		names[i] = f.Name
	}
	slices.Sort(names)
	want := []string{"build.json", "cpu.base.pb.gz", "cpu.pb.gz", "execution.trace", "goroutine.base.pb.gz", "goroutine.pb.gz", "heap.base.pb.gz", "heap.pb.gz", "mutex.pb.gz", "samples.ndjson.gz", "spans.json"}
	if pprof.Lookup("goroutineleak") != nil {
		want = slices.Insert(want, 6, "goroutineleak.pb.gz")
	}
	if !slices.Equal(names, want) {
		t.Errorf("files %v, want %v; skipped %+v", names, want, m.Skipped)
	}
	if m.ID != id || !m.First || m.Event == nil || m.Event.Spans[0].Name != "GET /cart" || m.Cause != "goroutine.verdict cpu" || m.BaseTime.IsZero() || m.Resource[0].Value != "checkout" {
		t.Errorf("manifest %+v", m)
	}
	if len(m.Groups) == 0 || m.Groups[0].Count != 300 || m.Groups[0].Base != 0 || !strings.Contains(m.Groups[0].Site, "evidence_test.leak") {
		t.Errorf("the group that has grown most: %+v", m.Groups)
	}
}

// checkModes asserts that only the owner can read the files.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func checkSamples(t *testing.T, path string) {
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
	n, events := 0, 0
	for dec := json.NewDecoder(z); ; n++ {
		line := map[string]any{}
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if line["seq"] == nil || line["@timestamp"] == nil {
			t.Errorf("line %d: %v", n, line)
		}
		if line["events"] != nil {
			events++
		}
	}
	if n != 2 || events != 1 {
		t.Errorf("%d samples, %d with events; want 2 and 1", n, events)
	}
}

func tool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"tool"}, args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("go tool %s: %v\n%s", strings.Join(args, " "), err, out[:min(len(out), 2000)])
	}
	return string(out)
}

func TestCooldownAndLimitPerHour(t *testing.T) {
	var log bytes.Buffer
	s := newStore(t, evidence.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	next := snapshots()
	n := uint64(0)
	trigger := func(what string, e runtimeinfo.Event, want bool) {
		t.Helper()
		before := s.Stats()
		if err := s.Export(t.Context(), next(e)); err != nil {
			t.Fatal(err)
		}
		testutil.Eventually(t, what, func() bool { now := s.Stats(); return now.Made+now.Skipped > before.Made+before.Skipped })
		if now := s.Stats(); (now.Made > before.Made) != want {
			t.Errorf("%s: bundle %v, want %v", what, !want, want)
		}
		s.WaitIdle(t)
		n++
	}
	trigger("first trigger", leakEvent("a", 100), true)
	trigger("same cause again", leakEvent("a", 199), false)
	trigger("other cause", leakEvent("b", 100), true)
	trigger("same cause with twice the size", leakEvent("a", 200), true)
	trigger("fourth bundle", leakEvent("c", 1), true)
	trigger("fifth bundle within the hour", leakEvent("d", 1), false)
	if _, err := s.Capture(t.Context(), "on request"); err != nil {
		t.Errorf("Capture: %v", err)
	}
	ids := bundles(t, s)
	m := manifest(t, s, ids[len(ids)-1])
	if m.Reason != "on request" || m.Cause != "request" {
		t.Errorf("manifest %+v", m)
	}
	if len(m.SkippedCaptures) != 1 || !strings.Contains(m.SkippedCaptures[0].Why, "last hour") {
		t.Errorf("skipped %+v", m.SkippedCaptures)
	}
	if !strings.Contains(log.String(), "no bundle of evidence was created") {
		t.Errorf("log:\n%s", log.String())
	}
}

// Events of low severity and other events than verdicts and anomalies trigger no bundle.
func TestOtherEventsTriggerNoBundle(t *testing.T) {
	s := newStore(t, evidence.Config{})
	next := snapshots()
	quiet := leakEvent("a", 1)
	quiet.Severity = slog.LevelInfo
	for _, e := range []runtimeinfo.Event{quiet, {Name: "span.never_ended", Severity: slog.LevelWarn}} {
		if err := s.Export(t.Context(), next(e)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st != (evidence.Stats{}) {
		t.Errorf("stats %+v", st)
	}
	if err := s.Export(t.Context(), next()); !errors.Is(err, exporters.ErrShutdown) {
		t.Errorf("Export after Shutdown: %v", err)
	}
	if _, err := s.Capture(t.Context(), ""); !errors.Is(err, exporters.ErrShutdown) {
		t.Errorf("Capture after Shutdown: %v", err)
	}
}

// If the store has no writable directory, it is a file system of the last two bundles.
func TestBundlesInMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"none": "", "unwritable": filepath.Join(file, "below")} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newStore(t, evidence.Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			var last string
			for range 3 {
				id, err := s.Capture(t.Context(), "test")
				if err != nil {
					t.Fatal(err)
				}
				last = id
			}
			ids := bundles(t, s)
			if len(ids) != 2 || ids[1] != last {
				t.Errorf("bundles %v, the last is %s", ids, last)
			}
			if err := fstest.TestFS(s, last+"/"+evidence.ManifestFile, last+"/goroutine.pb.gz"); err != nil {
				t.Error(err)
			}
			if got := strings.Count(log.String(), "is not writable"); (got == 1) != (dir != "") {
				t.Errorf("%d log lines:\n%s", got, log.String())
			}
		})
	}
}

func TestStoreIsAFileSystem(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, evidence.Config{Dir: dir})
	if ids := bundles(t, s); len(ids) != 0 {
		t.Errorf("bundles %v", ids)
	}
	id, err := s.Capture(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(s, id+"/"+evidence.ManifestFile, id+"/goroutine.pb.gz"); err != nil {
		t.Error(err)
	}
	if _, err := s.Open("../secret"); err == nil {
		t.Error("Open opens a file outside the directory")
	}
}

// The store removes the oldest bundles, but the first one of an incident last, and old directories
// of dead processes, but no directories of other programs.
func TestPruneRemovesOldestBundles(t *testing.T) {
	dir := t.TempDir()
	foreign, dead, damaged := filepath.Join(dir, "notes"), filepath.Join(dir, ".tmp-x"), filepath.Join(dir, "20251124T100000.000Z-abcdef-request")
	old := time.Now().Add(-2 * time.Hour)
	for _, d := range []string{foreign, dead, damaged} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, evidence.ManifestFile), nil, 0o600); err != nil { // like after a crash of the machine
			t.Fatal(err)
		}
		if err := os.Chtimes(d, old, old); err != nil {
			t.Fatal(err)
		}
	}
	s := newStore(t, evidence.Config{Dir: dir, MaxBytes: 600_000, PerHour: 100, Cooldown: 1})
	next := snapshots()
	for i := range 12 {
		s.Trigger(evidence.Trigger{Cause: "incident", Reason: "again", Trace: make([]byte, 100_000)})
		testutil.Eventually(t, "a bundle", func() bool { st := s.Stats(); return st.Made == uint64(i+1) })
		s.WaitIdle(t)
		if err := s.Export(t.Context(), next()); err != nil {
			t.Fatal(err)
		}
	}
	var size int64
	var first int
	var ids []string
	for _, id := range bundles(t, s) {
		ids = append(ids, id)
		m := manifest(t, s, id)
		if m.First {
			first++
		}
		for _, f := range m.Files {
			size += int64(f.Bytes)
		}
	}
	if size > 600_000 || len(ids) < 3 || len(ids) > 5 { // other files take less than half of a bundle
		t.Errorf("%d bundles, %d bytes; want as many as fit into 600,000", len(ids), size)
	}
	if first != 1 || !manifest(t, s, ids[0]).First {
		t.Errorf("the first bundle of the incident was removed: %v", ids)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
	for _, d := range []string{dead, damaged} {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was not removed: %v", d, err)
		}
	}
}

// Open opens only bundles, even if the directory has other files.
func TestOpenRefusesOtherFiles(t *testing.T) {
	dir := t.TempDir()
	for _, foreign := range []string{"conf", "20261124T100000.000Z-abcdef-no-manifest", ".tmp-20261124T100000.000Z-half"} {
		if err := os.Mkdir(filepath.Join(dir, foreign), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, foreign, "secret"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, evidence.Config{Dir: dir})
	id, err := s.Capture(t.Context(), "on request")
	if err != nil {
		t.Fatal(err)
	}
	if all := bundles(t, s); !slices.Equal(all, []string{id}) {
		t.Errorf("the directory has %v", all)
	}
	for _, name := range []string{"secret", "conf", "conf/secret", "20261124T100000.000Z-abcdef-no-manifest/secret", ".tmp-20261124T100000.000Z-half/secret"} {
		if _, err := s.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, err := s.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	one, err := d.(fs.ReadDirFile).ReadDir(1)
	if err != nil || len(one) != 1 || one[0].Name() != id {
		t.Errorf("ReadDir(1): %v, %v", one, err)
	}
	if rest, err := d.(fs.ReadDirFile).ReadDir(1); len(rest) != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("second ReadDir(1): %v, %v", rest, err)
	}
}

// The newest bundle is not removed, even if all others are the first ones of their incidents.
func TestNewestBundleIsKept(t *testing.T) {
	s := newStore(t, evidence.Config{Dir: t.TempDir(), MaxBytes: 300_000, PerHour: 100})
	for i := range 4 {
		s.Trigger(evidence.Trigger{Cause: "incident " + strconv.Itoa(i), Trace: make([]byte, 100_000)})
		testutil.Eventually(t, "a bundle", func() bool { return s.Stats().Made == uint64(i+1) })
		s.WaitIdle(t)
	}
	id, err := s.Capture(t.Context(), strings.Repeat("a long reason; ", 15_000))
	if err != nil {
		t.Fatal(err)
	}
	if all := bundles(t, s); !slices.Contains(all, id) || len(all) > 2 {
		t.Errorf("%s was created, stored are %v", id, all)
	}
}

// slowTrace has a source of traces that takes 100 ms.
type slowTrace struct{ called chan struct{} }

func (i slowTrace) WriteTrace(context.Context, io.Writer) error {
	close(i.called)
	time.Sleep(100 * time.Millisecond) // so that the race detector sees no order between this and Capture
	return nil
}

// A capture continues without a data race after its caller has returned.
func TestCaptureContinuesAfterItsContextIsDone(t *testing.T) {
	trace := slowTrace{make(chan struct{})}
	s := newStore(t, evidence.Config{Trace: trace.WriteTrace})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-trace.called
		cancel()
	}()
	if id, err := s.Capture(ctx, "on request"); !errors.Is(err, context.Canceled) || id != "" {
		t.Errorf("%q, %v", id, err)
	}
	time.Sleep(500 * time.Millisecond) // for the same reason
	testutil.Eventually(t, "a bundle", func() bool { return s.Stats().Made == 1 })
}

func TestFilesThatDoNotFitAreSkipped(t *testing.T) {
	s := newStore(t, evidence.Config{MaxBundle: 20_000})
	s.Trigger(evidence.Trigger{Cause: "x", Trace: make([]byte, 20_001)})
	testutil.Eventually(t, "a bundle", func() bool { return s.Stats().Made == 1 })
	m := manifest(t, s, bundles(t, s)[0])
	if !slices.ContainsFunc(m.Skipped, func(k evidence.Skipped) bool {
		return k.What == "execution.trace" && strings.Contains(k.Why, "larger")
	}) {
		t.Errorf("skipped %+v", m.Skipped)
	}
	size := 0
	for _, f := range m.Files {
		size += f.Bytes
	}
	if size == 0 || size > 20_000 {
		t.Errorf("%d bytes", size)
	}
}

func TestNoBundleIfDiskSpaceIsShort(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the free space is unknown on this system")
	}
	for _, free := range []int64{1 << 60, math.MaxInt64} {
		dir := t.TempDir()
		s, err := evidence.New(evidence.Config{Dir: dir, MinFree: free, ProfileFor: 1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Capture(t.Context(), "test"); err == nil || !strings.Contains(err.Error(), "disk space is short") {
			t.Errorf("MinFree %d, Capture: %v", free, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("%d entries", len(entries))
		}
		if s.Stats().Failed != 1 {
			t.Errorf("stats %+v", s.Stats())
		}
	}
}

// A bundle lacks the profiles that the application takes at the same time.
func TestBusyProfilesAreSkipped(t *testing.T) {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	defer pprof.StopCPUProfile()
	recorder, err := exectrace.New(exectrace.Config{Logger: slog.New(slog.DiscardHandler), MaxGoroutines: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 { // more than ten times MaxGoroutines, with the others
		stop := make(chan struct{})
		defer close(stop)
		go leak(stop)
	}
	s := newStore(t, evidence.Config{Trace: recorder.WriteTrace})
	id, err := s.Capture(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	why := map[string]string{}
	for _, k := range manifest(t, s, id).Skipped {
		why[k.What] = k.Why
	}
	if !strings.Contains(why["cpu.pb.gz"], "busy") || !strings.Contains(why["execution.trace"], "the limit is 10") || why["goroutine.base.pb.gz"] == "" {
		t.Errorf("skipped %v", why)
	}
}

// Export does not wait for a capture. Shutdown ends the profiles of the capture early, and the
// bundle contains them.
func TestExportDoesNotWaitForCaptures(t *testing.T) {
	s := newStore(t, evidence.Config{ProfileFor: 15 * time.Second})
	next := snapshots()
	if err := s.Export(t.Context(), next(leakEvent("a", 1))); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := s.Export(t.Context(), next()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Capture(t.Context(), "test"); !errors.Is(err, evidence.ErrBusy) {
		t.Errorf("Capture during a capture: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	m := manifest(t, s, bundles(t, s)[0])
	for _, name := range []string{"goroutine.pb.gz", "samples.ndjson.gz", "mutex.pb.gz"} {
		if !slices.ContainsFunc(m.Files, func(f evidence.File) bool { return f.Name == name }) {
			t.Errorf("no %s: %+v", name, m.Skipped)
		}
	}
}

// A panic of Trace skips a file and a panic of Goroutines fails the bundle.
func TestPanicsAreRecovered(t *testing.T) {
	s := newStore(t, evidence.Config{Trace: func(context.Context, io.Writer) error { panic("oh") }})
	if err := s.Export(t.Context(), snapshots()()); err != nil {
		t.Fatal(err)
	}
	id, err := s.Capture(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if m := manifest(t, s, id); !slices.ContainsFunc(m.Skipped, func(k evidence.Skipped) bool { return k.What == "execution.trace" && k.Why == "panic: oh" }) {
		t.Errorf("skipped %+v", m.Skipped)
	}
	s = newStore(t, evidence.Config{Goroutines: func() goroutines.Report { panic("oh") }})
	if _, err := s.Capture(t.Context(), "test"); err == nil || !strings.Contains(err.Error(), "panic: oh") {
		t.Errorf("Capture: %v", err)
	}
	if c := s.Stats(); c.Failed != 1 {
		t.Errorf("stats %+v", c)
	}
}

func TestNewReturnsAllErrors(t *testing.T) {
	_, err := evidence.New(evidence.Config{MaxBundle: -1, PerHour: -1, ProfileFor: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "MaxBundle") || !strings.Contains(err.Error(), "PerHour") || !strings.Contains(err.Error(), "ProfileFor") {
		t.Errorf("%v", err)
	}
}
