// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// wide returns a snapshot with a hundred numbers that change.
func wide(n int) *runtimeinfo.Snapshot {
	const columns = 100
	points := make([]runtimeinfo.Point, columns)
	for i := range points {
		points[i] = runtimeinfo.Point{Metric: gauge(fmt.Sprintf("gauge.%d", i)), Number: float64(n*columns+i) / 7}
	}
	return second(n, points...)
}

// Clients that request the history and do not read it hold a bounded number of bytes,
// also in a server without timeouts. After three seconds new requests replace them.
func TestSlowReadersHoldBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPage(t, page.Config{})
		for n := range 400 {
			export(t, e, wide(n+1))
		}
		size := call(t, e, "api/v1/history", nil).Body.Len()
		const readers, budget = 120, 16 << 20
		if size*readers < 2*budget {
			t.Fatalf("%d readers of %d bytes do not exceed the budget", readers, size)
		}
		var wg sync.WaitGroup
		all := make([]*viewer, readers)
		for i := range all {
			all[i] = newViewer()
			all[i].stall()
			wg.Go(func() {
				e.Handler().ServeHTTP(all[i], httptest.NewRequest(http.MethodGet, "/api/v1/history", http.NoBody))
			})
		}
		time.Sleep(time.Second)
		held := 0
		for _, v := range all {
			if v.status() == http.StatusOK {
				held += size
			}
		}
		if held == 0 || held > budget {
			t.Errorf("clients that read nothing hold %d bytes, want at most %d", held, budget)
		}
		time.Sleep(2 * time.Second)
		if w := call(t, e, "api/v1/history", nil); w.Code != http.StatusOK || w.Body.Len() != size {
			t.Errorf("after 3 s a client that reads gets status %d and %d bytes", w.Code, w.Body.Len())
		}
		wg.Wait() // each write has a deadline
	})
}

// A returning viewer is sent what it missed in parts, so that many viewers that do not
// read hold little memory.
func TestMissedSamplesAreSentInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPage(t, page.Config{})
		for n := range 700 {
			export(t, e, wide(n+1))
		}
		var m viewers
		call(t, e, "api/v1/meta", &m)
		v := newViewer()
		leave := watch(t, e, v, m.Boot+"-130")
		got := v.take()
		leave()
		if n := strings.Count(got, "\ndata: {\"t\":"); n != 570 {
			t.Errorf("%d samples, want the 570 that it missed", n)
		}
		if strings.Count(got, `"now":`) != 1 || strings.Count(got, "event: columns") != 1 {
			t.Error("the columns or the current state are sent with each part")
		}
		if v.largest > 64<<10 {
			t.Errorf("%d bytes are written at a time", v.largest)
		}
		for seq := 131; seq <= 700; seq++ {
			if !strings.Contains(got, fmt.Sprintf("id: %s-%d\n", m.Boot, seq)) {
				t.Fatalf("sample %d is missing", seq)
			}
		}
	})
}

// fresh returns a report in which six groups are new; with stays it has one more that is
// in each report.
func fresh(n int, at time.Time, stays bool) goroutines.Report {
	s := &goroutines.Survey{Time: at}
	same := goroutines.Key{Class: goroutines.ChanSend, Site: goroutines.Site{Function: "stays"}, Entry: "stays"}
	if stays {
		s.Groups = append(s.Groups, goroutines.Group{Key: same, Count: n})
	}
	for i := range 6 {
		key := goroutines.Key{Class: goroutines.IO, Site: goroutines.Site{Function: fmt.Sprintf("f%d.%d", n, i)}, Entry: "e"}
		s.Groups = append(s.Groups, goroutines.Group{Key: key, Count: 1})
	}
	return goroutines.Report{Survey: s, Verdicts: []goroutines.Verdict{{Kind: goroutines.Leak, Key: same, Since: at, Count: n}}}
}

// Ids of groups do not repeat: 70,000 groups are 15 hours with six new ones in each
// survey. One group exists from the start until 65,536 ids are used, is forgotten, and
// returns.
func TestGroupIDsDoNotRepeat(t *testing.T) {
	var report goroutines.Report
	e := newPage(t, page.Config{Goroutines: func() goroutines.Report { return report }})
	const surveys, idsUsed, away = 11_700, 65_536 / 6, 40
	for n := range surveys {
		s := second(5 * n)
		report = fresh(n+1, s.Time, n <= idsUsed || n > idsUsed+away)
		export(t, e, s)
	}
	var m moment
	call(t, e, "api/v1/moment"+query(second(5*surveys-30).Time, second(5*surveys).Time), &m)
	if len(m.Groups) != 7 || m.Groups[0].Function != "stays" {
		t.Fatalf("%d groups, want 7, and the one with a verdict first: %+v", len(m.Groups), m.Groups)
	}
	for i, g := range m.Groups {
		if i == 0 && (g.Count != surveys || g.Before == 0 || g.Verdict == nil) || i > 0 && (g.Before != 0 || g.Verdict != nil) {
			t.Errorf("%s: %d, before %d, verdict %v", g.Function, g.Count, g.Before, g.Verdict)
		}
	}
}
