// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/internal/compare"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// recording writes a recording of a service whose requests cost so many seconds of CPU, and returns its path.
func recording(t *testing.T, name string, cpu float64) string {
	t.Helper()
	var b bytes.Buffer
	start := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for i := range 120 {
		noise := 1 + 0.01*float64(i*7919%13-6)/6
		line := map[string]any{
			"record": "runtime", "@timestamp": start.Add(time.Duration(i) * time.Second),
			"id":                       "shop/" + strconv.FormatInt(start.UnixNano(), 36) + "/" + strconv.Itoa(i),
			"gmpulse.root_spans.ended": 100 * i, "gmpulse.cpu.used": 100 * cpu * noise, "gmpulse.goroutine.user": 20,
			"root_spans": []any{map[string]any{"name": "GET /\x1b[31m", "ended": 100 * i, "errors": 0, "seconds": 0.5 * float64(i) * noise, "durations": fmt.Sprintf("5120:%d", 100*i)}},
		}
		if err := json.NewEncoder(&b).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCompare(t *testing.T) {
	before, same, worse := recording(t, "before.jsonl", 0.002), recording(t, "same.jsonl", 0.002), recording(t, "worse.jsonl", 0.0023)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{before, same}, statusOK, "no regression beyond 5 %"},
		{[]string{before, same, "-gate"}, statusOK, "no regression beyond 5 %"},
		{[]string{before, worse}, statusOK, "a regression beyond 5 %: CPU per request +15.0 %"},
		{[]string{before, worse, "-gate"}, statusFailed, "REGRESSION"},
		{[]string{before, "-gate", "-margin", "20%", worse}, statusOK, "no regression beyond 20 %"},
		{[]string{"-gate", worse, before}, statusOK, "less"},
		{[]string{before, worse, "-warmup", "100s"}, statusOK, "19s from 2026-11-30T12:01:40Z"},
	} {
		status, out, diagnostics := gmpulse(t, append([]string{"compare"}, c.args...)...)
		if status != c.status || diagnostics != "" || !strings.Contains(out, c.want) {
			t.Errorf("%q: status %d, want %d with %q: %s\n%s", c.args, status, c.status, c.want, diagnostics, out)
		}
		if strings.ContainsRune(out, '\x1b') {
			t.Errorf("%q: control characters:\n%q", c.args, out)
		}
	}
}

func TestCompareJSON(t *testing.T) {
	status, out, _ := gmpulse(t, "compare", "-json", "-gate", recording(t, "before.jsonl", 0.002), recording(t, "after.jsonl", 0.0023))
	var r compare.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != statusFailed {
		t.Fatalf("status %d, %v:\n%s", status, err, out)
	}
	if len(r.Regressions()) != 1 || r.Margin != 0.05 || r.Before.Requests < 8000 {
		t.Errorf("%+v", r)
	}
}

func TestCompareRefusesBadInput(t *testing.T) {
	good := recording(t, "good.jsonl", 0.002)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{good}, "takes 2 arguments"},
		{[]string{good, good, good}, "takes 2 arguments"},
		{[]string{good, "missing.jsonl"}, "missing.jsonl: no such file"},
		{[]string{good, t.TempDir()}, "not a bundle"},
		{[]string{good, good, "-margin", "x"}, "want a percentage such as 5%"},
		{[]string{good, good, "-margin", "-1%"}, "want a percentage such as 5%"},
		{[]string{good, good, "-warmup", "3m"}, "-warmup"},
		{[]string{good, good, "-for", "1s"}, "-for must be at least 2s"},
		{[]string{good, "http://127.0.0.1:1", "-for", "2s"}, "connection refused"},
	} {
		status, out, diagnostics := gmpulse(t, append([]string{"compare"}, c.args...)...)
		if status != statusUsage || out != "" || !strings.Contains(diagnostics, c.want) {
			t.Errorf("%q: status %d, want %d with %q: %s%s", c.args, status, statusUsage, c.want, out, diagnostics)
		}
	}
}

// A page may fail for a moment, but not for ten seconds, and has each record several times.
func TestWatch(t *testing.T) {
	for _, c := range []struct {
		name     string
		failing  func(elapsed time.Duration) bool
		want     int
		wantErr  bool
		wantTime time.Duration
	}{
		{"a running page", func(time.Duration) bool { return false }, 60, false, time.Minute},
		{"a page that starts", func(d time.Duration) bool { return d < 8*time.Second }, 52, false, time.Minute},
		{"a page that fails for 5 s", func(d time.Duration) bool { return d > 20*time.Second && d < 25*time.Second }, 56, false, time.Minute},
		{"a page that ends", func(d time.Duration) bool { return d > 20*time.Second }, 21, true, 30500 * time.Millisecond},
		{"no page", func(time.Duration) bool { return true }, 0, true, 10500 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, n := time.Now(), 0
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				w := watcher{read: func(context.Context) (map[string]any, error) {
					if c.failing(time.Since(start)) {
						return nil, errors.New("no answer")
					}
					return map[string]any{"id": time.Since(start).Truncate(time.Second).String()}, nil
				}, each: func(map[string]any) error { n++; return nil }}
				err := w.run(ctx)
				if n < c.want-1 || n > c.want+1 || (err != nil) != c.wantErr || time.Since(start) != c.wantTime {
					t.Errorf("%d records in %v, %v", n, time.Since(start), err)
				}
			})
		})
	}
}

// Two running services are watched at the same time, and what record prints is a recording.
func TestComparePages(t *testing.T) {
	p, err := page.New(page.Config{})
	if err != nil {
		t.Fatal(err)
	}
	handler := p.Handler()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ended := &runtimeinfo.Metric{Name: "gmpulse.root_spans.ended", Unit: "{span}", Kind: runtimeinfo.KindCounter}
		i := n.Add(1) // a new sample for each request
		s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: ended, Number: float64(100 * i)})
		s.Seq, s.Start = uint64(i), time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
		s.Time = s.Start.Add(time.Hour + time.Duration(i)*time.Second)
		if err := p.Export(r.Context(), s); err != nil {
			t.Error(err)
		}
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	status, out, diagnostics := gmpulse(t, "compare", "-for", "2s", server.URL, server.URL+"/debug/gmpulse/")
	if status != statusOK || !strings.Contains(out, "requests per second") || strings.Count(diagnostics, "watching "+server.URL) != 2 {
		t.Errorf("status %d: %s\n%s", status, diagnostics, out)
	}
	status, out, _ = gmpulse(t, "record", "-for", "2s", server.URL)
	path := filepath.Join(t.TempDir(), "page.jsonl")
	if err := os.WriteFile(path, []byte(out), 0o600); err != nil || status != statusOK {
		t.Fatal(status, err)
	}
	if status, out, diagnostics := gmpulse(t, "compare", path, path, "-gate"); status != statusOK || !strings.Contains(out, "no regression") {
		t.Errorf("status %d: %s\n%s", status, diagnostics, out)
	}
}
