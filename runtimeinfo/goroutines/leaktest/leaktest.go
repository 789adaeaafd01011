// Package leaktest finds leaked goroutines in tests:
//
//	func TestCheckout(t *testing.T) {
//		leaktest.Check(t)
//		...
//	}
//
// The test fails if goroutines that it started are still there when it is over,
// and the message says what they wait for, where, in which function they began
// and under which root span they were created.
package leaktest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// Patience is how long goroutines may take to end after the test.
const Patience = 2 * time.Second

// rootLabel is tracectx.RootLabel: labels are there where the program under test
// has the span processor.
const rootLabel = "gmpulse_root"

// Check makes t fail if there are more goroutines of any group when the test and
// its cleanups are over than there are now. Call it first, and not in tests that
// run in parallel: it sees their goroutines too. It waits for up to [Patience],
// and costs two surveys of all goroutines.
func Check(t testing.TB) {
	t.Helper()
	surveyor := goroutines.NewSurveyor(goroutines.Config{RootLabel: rootLabel})
	before, err := surveyor.Take(context.Background())
	if err != nil {
		t.Fatalf("leaktest: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		left, err := settle(surveyor, before)
		switch {
		case err != nil:
			t.Errorf("leaktest: nobody knows what is left: %v", err)
		case len(left) > 0:
			t.Error(message(left))
		}
	})
}

// leftover is a group with more members than before.
type leftover struct {
	group goroutines.Group
	more  int
}

// settle surveys until nothing is left or the patience is over. The error is that of
// the last survey: there may be too many goroutines to tell.
func settle(s *goroutines.Surveyor, before *goroutines.Survey) (left []leftover, err error) {
	deadline := time.Now().Add(Patience)
	for pause := time.Millisecond; ; pause *= 2 {
		var after *goroutines.Survey
		if after, err = s.Take(context.Background()); err == nil {
			left = compare(before, after)
		}
		if err == nil && len(left) == 0 || time.Now().After(deadline) {
			return left, err
		}
		timer := time.NewTimer(min(pause, 100*time.Millisecond))
		<-timer.C
	}
}

// compare returns the groups that have grown. A goroutine that only waits elsewhere
// now is not one more: as many must have been added to those that began in the same function.
func compare(before, after *goroutines.Survey) (left []leftover) {
	began, begun := byEntry(before), byEntry(after)
	for _, g := range after.Groups {
		more := g.Count
		if b := before.Get(g.Key); b != nil {
			more -= b.Count
		}
		if g.Entry != "" {
			more = min(more, begun[g.Entry]-began[g.Entry])
		}
		if more > 0 && !ofTesting(g) {
			left = append(left, leftover{g, more})
		}
	}
	return left
}

// byEntry counts goroutines by the function that they began in.
func byEntry(s *goroutines.Survey) map[string]int {
	counts := map[string]int{}
	for i := range s.Groups {
		counts[s.Groups[i].Entry] += s.Groups[i].Count
	}
	return counts
}

// ofTesting tells the goroutines of the testing package: those of other tests
// and of the runner, which change their places as it goes on.
func ofTesting(g goroutines.Group) bool {
	return strings.HasPrefix(g.Entry, "testing.") || g.Entry == "main.main" || g.Entry == "runtime.main"
}

func message(left []leftover) string {
	var b strings.Builder
	fmt.Fprintf(&b, "leaktest: goroutines are left %v after the test:", Patience)
	for _, l := range left {
		fmt.Fprintf(&b, "\n\t%d in %s", l.more, l.group.Key)
		for _, birth := range l.group.Births {
			if birth.Root != "" {
				fmt.Fprintf(&b, "\n\t\tcreated under %s (%d)", birth.Root, birth.Count)
			}
		}
	}
	return b.String()
}
