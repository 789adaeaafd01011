// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"fmt"
	"net/http"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// manyGroups returns a survey of n groups, each with its own stack and verdict.
func manyGroups(n int, at time.Time) goroutines.Report {
	r := goroutines.Report{Survey: &goroutines.Survey{Time: at, Goroutines: n}}
	for i := range n {
		key := goroutines.Key{Class: goroutines.ChanSend, Site: goroutines.Site{Function: fmt.Sprintf("app.f%d", i), File: "/src/app/cart.go", Line: i}, Entry: "app.f"}
		r.Survey.Groups = append(r.Survey.Groups, goroutines.Group{Key: key, Count: n - i, Stack: []goroutines.Site{key.Site, {Function: fmt.Sprintf("caller%d", i)}}})
		r.Verdicts = append(r.Verdicts, goroutines.Verdict{Kind: goroutines.Leak, Key: key, Since: at, Count: n - i})
	}
	return r
}

// The cost of an Export and of each response is linear in the number of groups.
func TestCostIsLinearInGroups(t *testing.T) {
	build := func(n int) (*page.Exporter, *goroutines.Report) {
		report := new(goroutines.Report)
		e := newPage(t, page.Config{Goroutines: func() goroutines.Report { return *report }})
		for i := range 3 {
			*report = manyGroups(n, second(i).Time)
			export(t, e, second(i))
		}
		return e, report
	}
	t.Run("export", func(t *testing.T) {
		testutil.Linear(t, 100, func(n int) func() {
			e, report := build(n)
			var reports []goroutines.Report
			for i := range 7 {
				reports = append(reports, manyGroups(n, second(3+i).Time))
			}
			next := 0
			return func() {
				*report = reports[next%len(reports)]
				export(t, e, second(3+next))
				next++
			}
		})
	})
	for _, route := range []string{"goroutines", "flame", "moment", "events", "history"} {
		t.Run(route, func(t *testing.T) {
			testutil.Linear(t, 100, func(n int) func() {
				e, _ := build(n)
				return func() { call(t, e, "api/v1/"+route, nil) }
			})
		})
	}
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// The cost of a row is linear in the number of viewers: a row is encoded once for all of
// them.
func TestCostIsLinearInViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cost := func(n int) float64 {
			e := newPage(t, page.Config{})
			export(t, e, wide(1))
			for range n {
				defer watch(t, e, discard{http.Header{}}, "")()
			}
			const rows = 50
			before := uint64(0)
			for i := range rows + 10 {
				if i == 10 {
					before = allocated()
				}
				export(t, e, wide(i+2))
				synctest.Wait()
			}
			return float64(allocated()-before) / rows
		}
		none, few, many := cost(0), cost(16), cost(128)
		t.Logf("bytes a row: %.0f without viewers, %.0f with 16, %.0f with 128", none, few, many)
		if perFew, perMany := (few-none)/16, (many-none)/128; perMany > 2*perFew {
			t.Errorf("a viewer costs %.0f bytes a row among 16, and %.0f among 128", perFew, perMany)
		}
	})
}

// discard is a viewer that reads everything.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Flush()                      {}
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
