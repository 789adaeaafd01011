// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

const (
	// abandonedProfiles is the directory of a process that died hours ago.
	abandonedProfiles = "profiles-0123abcd"
	// foreignDirectory is one of another program.
	foreignDirectory = "profiles-of-another-program"
	// cpuProfiles is how many CPU profiles the child takes.
	cpuProfiles = 3
)

func prepareProfiles(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{abandonedProfiles, foreignDirectory} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "20260102T030405.678Z-heap-1.pb.gz"), []byte("test"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	age(t, dir)
}

// age makes directories look as if their processes had died hours ago.
func age(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-3 * time.Hour)
	for _, e := range entries {
		if err := os.Chtimes(filepath.Join(dir, e.Name()), before, before); err != nil {
			t.Fatal(err)
		}
	}
}

// takeProfiles runs a profiler until it has taken a heap profile, a goroutine profile and
// some CPU profiles, and returns what went wrong.
func takeProfiles(dir string, cpu int, l *slog.Logger) (problems []string) {
	p, err := profiler.New(profiler.Config{Dir: dir, For: 100 * time.Millisecond, Every: 200 * time.Millisecond, NoCPU: cpu == 0, Logger: l})
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		p.Run(ctx)
		close(done)
	}()
	want := map[profiler.Kind]int{profiler.Heap: 1, profiler.Goroutine: 1, profiler.CPU: cpu}
	for kind, n := range want {
		deadline := time.Now().Add(10 * time.Second)
		for len(p.Profiles(kind, time.Time{}, time.Time{})) < n {
			if time.Now().After(deadline) {
				problems = append(problems, "missing "+string(kind))
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	for kind := range want {
		for _, x := range p.Profiles(kind, time.Time{}, time.Time{}) {
			if data, err := p.Read(x); err != nil {
				problems = append(problems, "unreadable "+string(kind)+" "+err.Error())
			} else if _, err := profile.ParseData(data); err != nil {
				problems = append(problems, "damaged "+string(kind)+" "+err.Error())
			}
		}
	}
	cancel()
	<-done
	return problems
}

func writeProfiles(dir string) {
	for _, problem := range takeProfiles(dir, cpuProfiles, logger()) {
		say("%s", problem)
	}
	say("end of profiles")
}

func checkProfiles(t *testing.T, dir string, o *outcome) {
	t.Helper()
	if bad := o.has("missing"); len(bad) > 0 {
		t.Errorf("profiles are missing: %q", bad)
	}
	if bad := o.has("unreadable"); len(bad) > 0 && o.fault.at.fail == 0 {
		t.Errorf("profiles are not readable: %q", bad)
	}
	if bad := o.has("damaged"); len(bad) > 0 && !o.fault.lies {
		t.Errorf("profiles are damaged: %q", bad)
	}
	if !o.killed && len(o.has("end")) != 1 {
		t.Error("the process has not ended")
	}
	age(t, dir) // hours later
	var log bytes.Buffer
	if problems := takeProfiles(dir, 0, slog.New(slog.NewTextHandler(&log, nil))); len(problems) > 0 || log.Len() > 0 {
		t.Errorf("the next process: %q, log:\n%s", problems, log.String())
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || filepath.Base(filepath.Dir(left[0])) != foreignDirectory {
		t.Errorf("the files left are %q, want the file of another program only", left)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directories left are %v, want the one of another program only: %v", entries, err)
	}
}
