// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/testutil"
)

// Each explosion gets the right verdict, with its line and span, and exits with status 0.
// ramp is harmless and gets none.
func TestExplosionsGetTheirVerdicts(t *testing.T) {
	t.Parallel()
	if testing.Short() || testutil.RaceEnabled {
		t.Skip("takes five minutes; the gate runs it without the race detector, beside other steps")
	}
	program := build(t, "./examples/explosion")
	wants := map[string][]string{
		"channel":    {"verdict  leak", "main.unreadChannel.func1 (kinds.go:", "under    GET /checkout", "/debug/gmpulse/#moment="},
		"lock":       {"verdict  stuck", "main.heldLock (kinds.go:", "under    POST /order"},
		"ramp":       {},
		"redis-slow": {"verdict  pressure", "main.cachedStock (redis.go:", "under    GET /stock"},
		"job":        {"verdict  leak", "main.unreadChannel.func1 (kinds.go:", "created  main.unreadChannel (kinds.go:"},
		"avalanche":  {"leak: ", "net/http.(*persistConn)", "(avalanche.go:", "created under GET /order", "latency p99", "nothing to report", "go run ./cmd/gmpulse compare", "no regression beyond 5 %"},
	}
	running := map[string]*process{} // concurrently, because they mostly wait
	for kind := range wants {
		running[kind] = spawn(t, nil, program, "-kind="+kind, "-for=260s")
	}
	list := spawn(t, nil, program, "-list")
	<-list.done
	if n := strings.Count(list.output(), "\n"); list.err != nil || n < 13 {
		t.Errorf("-list prints %d lines: %v", n, list.err)
	}
	bad := spawn(t, nil, program, "-kind=nonsense")
	<-bad.done
	if code := bad.cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(bad.output(), "http-body") {
		t.Errorf("a bad kind exits with %d:\n%s", code, bad.output())
	}
	for kind, p := range running {
		<-p.done
		if p.err != nil {
			t.Errorf("%s: %v", kind, p.err)
		}
		for _, want := range wants[kind] {
			if !strings.Contains(p.output(), want) {
				t.Errorf("%s does not print %q", kind, want)
			}
		}
	}
}
