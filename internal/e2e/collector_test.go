// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/gmpulse/gmpulse/internal/peers"
)

// Every record arrives with its attributes at the Collector's Forward receiver, which is
// killed and restarted in the middle of the stream.
func TestCollectorForwardReceivesAllRecords(t *testing.T) {
	t.Parallel()
	const total = 300
	c := peers.StartCollector(t)
	p := spawn(t, nil, build(t, "./internal/peers/producer"), "-url=tcp://"+c.Fluent, "-dir="+t.TempDir(), "-to="+strconv.Itoa(total))
	for line := range p.lines {
		if line == fmt.Sprint("accepted ", total/2) {
			c.Kill()
			c.Restart(t)
		}
	}
	<-p.done
	if p.err != nil {
		t.Fatal(p.err)
	}
	checkAccounts(t, p)
	ids := map[any]int{}
	for _, r := range c.Await(t, 2*total, func(r *peers.Record) bool { return r.Source == "fluent" }) {
		ids[r.Attributes["id"]]++
		if r.Attributes["resource.service.name"] != "producer" || r.Time == "" {
			t.Fatalf("%+v", r)
		}
	}
	if len(ids) != 2*total {
		t.Errorf("%d different records arrived, want %d", len(ids), 2*total)
	}
}
