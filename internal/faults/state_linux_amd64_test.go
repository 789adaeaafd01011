// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"fmt"
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

// saveInTime calls save and returns its log. It calls save again if the machine was so busy
// that the Watch did not wait for its file.
func saveInTime(dir string, ticks int) (bands []runtimeinfo.Band, log string) {
	for {
		var b bytes.Buffer
		bands = save(dir, ticks, slog.New(slog.NewTextHandler(&b, nil)))
		if log = b.String(); !strings.Contains(log, "takes long") && !strings.Contains(log, "lines_lost") {
			return bands, log
		}
	}
}

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
		_, log := saveInTime(dir, 1)
		fmt.Fprint(os.Stderr, log)
	}
}

func checkState(t *testing.T, dir string, o *outcome) {
	t.Helper()
	bands, log := saveInTime(dir, 90)
	// A disk that lies may leave a damaged file, which the log names.
	if o.fault.lies && strings.Contains(log+o.log, "start without a state") {
		return
	}
	if len(bands) == 0 || bands[0].Learning {
		t.Errorf("what was learnt is lost, log of the next process:\n%s", log)
	}
	if log != "" && !strings.Contains(log, "another process is writing it") {
		t.Errorf("log of the next process:\n%s", log)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 2 {
		t.Errorf("files left: %v, %v", left, err)
	}
}
