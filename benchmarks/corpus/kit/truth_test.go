// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"slices"
	"testing"
	"time"
)

func TestTruth(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	for range 7 {
		go waitFor(stop)
	}
	is := func(g Group) bool {
		return g.Creator == "example.com/corpus/kit.TestTruth" && g.State == "chan receive"
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		groups := truth()
		if i := slices.IndexFunc(groups, is); i >= 0 && groups[i].Count == 7 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("seven goroutines of this test are not among %+v", groups)
		}
		time.Sleep(time.Millisecond)
	}
}

func waitFor(c <-chan struct{}) { <-c }

func TestParseHeader(t *testing.T) {
	m := header.FindStringSubmatch("goroutine 8 gp=0xc000 m=nil [select, 3 minutes, locked to thread]:")
	if m == nil || m[1] != "select" || m[2] != "3" {
		t.Errorf("got %q", m)
	}
	at, by := places([]string{"sync.(*WaitGroup).Wait(0x1)", "\t/go/sync.go:1 +0x2", "main.work(...)", "\t/src/main.go:7 +0x3", "created by main.start in goroutine 1", "\t/src/main.go:3 +0x4"})
	if at != "main.work (main.go:7)" || by != "main.start" {
		t.Errorf("got %q by %q", at, by)
	}
}
