// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

// learnt is how many ticks the state of prepareState has seen.
const learnt = 400

func statePath(dir string) string { return filepath.Join(dir, "baselines") }

// save makes a Watch that has seen some ticks and lets it save its state.
func save(dir string, ticks int, l *slog.Logger) (bands []runtimeinfo.Band) {
	w, err := baseline.New(baseline.Config{StateFile: statePath(dir), Logger: l})
	must(err)
	for i := range ticks {
		s := exporttest.Snapshot()
		s.Seq, s.Time = s.Seq+uint64(i), s.Time.Add(time.Duration(i)*time.Second)
		bands, _ = w.Judge(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.Run(ctx)
	return bands
}

func prepareState(t *testing.T, dir string) {
	t.Helper()
	if bands := save(dir, learnt, logger()); len(bands) == 0 || bands[0].Learning {
		t.Fatalf("nothing was learnt: %+v", bands)
	}
}

// Three processes after each other read the state and save it.
func writeState(dir string) {
	for range 3 {
		save(dir, 1, logger())
	}
}

func checkState(t *testing.T, dir string, o *outcome) {
	t.Helper()
	var log bytes.Buffer
	var bands []runtimeinfo.Band
	for {
		bands = save(dir, 90, slog.New(slog.NewTextHandler(&log, nil)))
		if !strings.Contains(log.String(), "takes long") {
			break
		}
		log.Reset() // the machine is busy
	}
	// A disk that lies may leave a damaged file, which the log names.
	if o.fault.lies && strings.Contains(log.String()+o.log, "start without a state") {
		return
	}
	if len(bands) == 0 || bands[0].Learning {
		t.Errorf("what was learnt is lost, log of the next process:\n%s", log.String())
	}
	if text := log.String(); text != "" && !strings.Contains(text, "another process is writing it") {
		t.Errorf("log of the next process:\n%s", text)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 2 {
		t.Errorf("files left: %v, %v", left, err)
	}
}
