// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"math/rand/v2"
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Spans that begin as "GET" end with three names. One of them leaks a goroutine per span, and is
// neither the most frequent nor the rarest.
func TestFinalNameInProportion(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	around := func(mean float64) (n int) { // Poisson, by the sum of exponential waits
		for at := random.ExpFloat64(); at < mean; at += random.ExpFloat64() {
			n++
		}
		return n
	}
	var epochs []epochCount
	all := 0
	for range 15 {
		users, export, home := around(100), around(50), around(30)
		all += export
		epochs = append(epochs, epochCount{export, []runtimeinfo.NameCount{{Name: "GET /users", Count: uint64(users)}, {Name: "GET /export", Count: uint64(export)}, {Name: "GET /", Count: uint64(home)}}})
	}
	got := finalNames(Root{Name: "GET", Count: all}, epochs)
	if len(got) != 1 || got[0].Name != "GET /export" || got[0].Count != all {
		t.Errorf("roots %+v, want all under GET /export", got)
	}
	// Two epochs are not conclusive: all names, by their shares.
	got = finalNames(Root{Name: "GET", Count: 180}, epochs[:2])
	if len(got) != 3 || got[0].Name != "GET /users" {
		t.Errorf("roots %+v, want three in proportion", got)
	}
	if got := finalNames(Root{Name: "GET", Count: 3}, []epochCount{{3, nil}}); len(got) != 1 || got[0].Name != "GET" {
		t.Errorf("roots %+v of spans that kept their name", got)
	}
}
