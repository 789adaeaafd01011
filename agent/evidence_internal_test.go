// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A process that is killed in tryDir leaves at most one file, which the next process removes.
func TestTryDirLeavesNoFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	for range 2 { // the second time after a process was killed
		if err := tryDir(dir); err != nil {
			t.Fatal(err)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Fatalf("%v is left, %v", left, err)
		}
		if err := os.WriteFile(filepath.Join(dir, checkName), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTryDirBySeveralProcesses(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if err := tryDir(dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
