// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/trace"
	"strings"
	"testing"
	"time"
	"unicode"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/internal/manifest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// gmpulse runs the command.
func gmpulse(t *testing.T, args ...string) (status int, out, diagnostics string) {
	t.Helper()
	var o, d bytes.Buffer
	status = run(t.Context(), args, &o, &d)
	return status, o.String(), d.String()
}

// recorded returns an execution trace with one slow span, and its ids.
func recorded(t *testing.T) ([]byte, runtimeinfo.Span) {
	t.Helper()
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p))
	defer tp.Shutdown(context.Background())
	var b bytes.Buffer
	if err := trace.Start(&b); err != nil {
		t.Fatal(err)
	}
	defer trace.Stop()
	_, span := tp.Tracer("test").Start(t.Context(), "GET /cart")
	time.Sleep(30 * time.Millisecond)
	span.End()
	trace.Stop()
	id := span.SpanContext()
	return b.Bytes(), runtimeinfo.Span{TraceID: id.TraceID(), SpanID: id.SpanID(), Name: "GET /cart", Start: time.Now()}
}

func TestTrace(t *testing.T) {
	b, span := recorded(t)
	path := filepath.Join(t.TempDir(), "app.trace")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, diagnostics := gmpulse(t, "trace", path)
	if status != statusOK || diagnostics != "" {
		t.Errorf("status %d: %s", status, diagnostics)
	}
	for _, want := range []string{"1 spans ended", "PROCESSORS", "busy", "ROOT SPANS", "GET /cart", "sleep", "trace " + span.TraceIDString(), "wait: sleep", "the runtime"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

func TestInspect(t *testing.T) {
	b, span := recorded(t)
	dir := t.TempDir()
	s, err := evidence.New(evidence.Config{Dir: dir, MinFree: 1, ProfileFor: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.Trigger(evidence.Trigger{
		Cause: "span.slow GET /cart", Reason: "GET /cart took 30ms", Trace: b,
		Event: &runtimeinfo.Event{Time: time.Now(), Name: "span.slow", Spans: []runtimeinfo.Span{span}},
	})
	if err := s.Shutdown(context.Background()); err != nil { // waits for the bundle
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(dir, entries[0].Name())
	for _, path := range []string{bundle, filepath.Join(bundle, "manifest.json")} {
		status, out, diagnostics := gmpulse(t, "inspect", path)
		if status != statusOK || diagnostics != "" {
			t.Errorf("status %d: %s", status, diagnostics)
		}
		for _, want := range []string{
			"GET /cart took 30ms", "GOROUTINES", "SPANS CONCERNED", span.TraceIDString(), "sleep", "FILES", "go tool pprof", "go tool trace", "MISSING", "cpu.pb.gz",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("the output lacks %q:\n%s", want, out)
			}
		}
	}
}

// Names come from requests and bundles from other machines: they must not control the
// terminal or break tables.
func TestInspectPrintsNoControlCharacters(t *testing.T) {
	dir := t.TempDir()
	description := `{"version":1,"reason":"grew \u001b]0;pwned\u0007\u009b2J","groups":[{"count":7,"wait":"chan\treceive","site":"a\nb"}],
		"files":[{"name":"evil\u001b[31m.txt"}]}`
	spans := `{"active":[{"name":"GET /\u001b[2J\u202e","trace_id":"ab"}]}`
	for name, text := range map[string]string{manifest.Name: description, "spans.json": spans} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, out, _ := gmpulse(t, "inspect", dir)
	if status != statusOK || !strings.Contains(out, "pwned") || !strings.Contains(out, "GET /") || !strings.Contains(out, "chan receive") || !strings.Contains(out, "a b") {
		t.Errorf("status %d:\n%s", status, out)
	}
	if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 {
		t.Errorf("control characters: %q", out[i:min(i+20, len(out))])
	}
}

// File names appear in errors, in the progress and in commands to paste.
func TestFileNamesAreQuotedAndPrintable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a\x1b[31mb; c")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Skip(err) // not on every system
	}
	checkText := func(what, text string) {
		t.Helper()
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 {
			t.Errorf("%s: control characters: %q", what, text[i:min(i+20, len(text))])
		}
	}
	for _, args := range [][]string{{"inspect", dir}, {"trace", dir}, {"trace", dir + "/none"}, {"unknown\x1b[2J"}, {"inspect", "-\x1b[2J"}} {
		status, _, diagnostics := gmpulse(t, args...)
		if status == statusOK || diagnostics == "" {
			t.Errorf("%q: status %d", args, status)
		}
		checkText(args[0], diagnostics)
	}
	var progress bytes.Buffer
	(&progressReader{size: 1 << 20, out: &progress, path: dir}).show()
	checkText("progress", progress.String())
	description := `{"version":1,"files":[{"name":"$(reboot)'.gz"},{"name":"heap.pb.gz"}]}`
	if err := os.WriteFile(filepath.Join(dir, manifest.Name), []byte(description), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, _ := gmpulse(t, "inspect", dir)
	checkText("inspect", out)
	for _, want := range []string{`/$(reboot)'\''.gz'`, `c/heap.pb.gz'`, "zcat '/"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %s:\n%s", want, out)
		}
	}
}

// Scripts use the exit status.
func TestErrorsHaveAMessageAndAStatus(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.trace")
	b, _ := recorded(t)
	cut := filepath.Join(dir, "cut.trace")
	broken := filepath.Join(dir, "broken")
	for path, content := range map[string][]byte{bad: []byte("this is not a trace, but longer than a header"), cut: b[:len(b)/2]} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "manifest.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, statusUsage, "no command"},
		{[]string{"nope"}, statusUsage, `unknown command "nope"`},
		{[]string{"trace"}, statusUsage, "takes 1 argument"},
		{[]string{"trace", "-top", "0", bad}, statusUsage, "-top must be positive"},
		{[]string{"trace", "-x", bad}, statusUsage, "-x"},
		{[]string{"trace", filepath.Join(dir, "none")}, statusFailed, "none"},
		{[]string{"trace", dir}, statusFailed, "is a directory"},
		{[]string{"trace", bad}, statusFailed, "as an execution trace of Go"},
		{[]string{"trace", cut}, statusFailed, "as an execution trace of Go"},
		{[]string{"inspect", dir}, statusFailed, "is not an incident bundle"},
		{[]string{"inspect", broken}, statusFailed, "manifest.json"},
	} {
		status, out, diagnostics := gmpulse(t, c.args...)
		if status != c.status || !strings.Contains(diagnostics, c.want) || out != "" {
			t.Errorf("%v: status %d, %q, %q; want %d with %q", c.args, status, out, diagnostics, c.status, c.want)
		}
	}
	if status, out, _ := gmpulse(t, "-h"); status != statusOK || !strings.Contains(out, "usage") {
		t.Errorf("-h: %d, %s", status, out)
	}
}

func TestLongFilesReportProgress(t *testing.T) {
	var out bytes.Buffer
	m := &progressReader{Reader: strings.NewReader(strings.Repeat("x", 3<<20)), size: 3 << 20, out: &out, path: "app.trace", last: time.Now().Add(-time.Minute)}
	if _, err := m.Read(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "reading app.trace: 33 % of 3 MB\n" {
		t.Errorf("%q", got)
	}
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{m}); err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	m.clear()
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("reported more than once a second: %q", out.String())
	}
}
