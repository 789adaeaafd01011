// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// stores has everything that gmpulse writes to disk.
var stores = map[string]store{
	"spool":        {write: writeSpool, check: checkSpool},
	"restart":      {prepare: prepareRestart, write: writeRestart, check: checkRestart},
	"dead letters": {prepare: prepareDeadLetters, counts: ofDeadLetters, write: writeDeadLetters, check: checkDeadLetters},
	"state":        {prepare: prepareState, write: writeState, check: checkState},
	"evidence":     {prepare: prepareEvidence, write: writeEvidence, check: checkEvidence},
	"jsonl":        {write: writeJSONL, check: checkJSONL},
	"profiles":     {prepare: prepareProfiles, write: writeProfiles, check: checkProfiles},
	"syncs":        {write: writeSyncs},
}

func TestSpoolOnFailingDisk(t *testing.T)        { test(t, "spool", 8) }
func TestSpoolRestartOnFailingDisk(t *testing.T) { test(t, "restart", 8) }
func TestDeadLettersOnFailingDisk(t *testing.T)  { test(t, "dead letters", 6) }
func TestStateOnFailingDisk(t *testing.T)        { test(t, "state", 10) }
func TestEvidenceOnFailingDisk(t *testing.T)     { test(t, "evidence", 6) }
func TestJSONLOnFailingDisk(t *testing.T)        { test(t, "jsonl", 10) }
func TestProfilesOnFailingDisk(t *testing.T)     { test(t, "profiles", 6) }

// say prints what was promised. It is written at once, so that a kill does not lose it.
func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// must ends the child, which the test reports with the log.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func logger() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

func snapshot(seq int) *runtimeinfo.Snapshot {
	s := exporttest.Snapshot()
	s.Seq, s.Time = uint64(seq), time.Now()
	return s
}
