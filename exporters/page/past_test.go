// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// busyUntil uses a CPU under a root span until ok returns true.
func busyUntil(t *testing.T, root string, ok func() bool) {
	t.Helper()
	stop := burn(t, root)
	testutil.Eventually(t, root+" is in profiles", ok)
	stop()
}

// valuesOf returns the values of the children of the root of a flame graph, by name: now and before.
func valuesOf(answer map[string]any) (now, base map[string]float64) {
	now, base = map[string]float64{}, map[string]float64{}
	names := answer["names"].([]any)
	children, _ := answer["tree"].(map[string]any)["c"].([]any)
	for _, c := range children {
		n := c.(map[string]any)
		name := names[int(n["n"].(float64))].(string)
		now[name] = n["v"].(float64)
		if b, ok := n["b"]; ok {
			base[name] = b.(float64)
		} else {
			base[name] = -1
		}
	}
	return now, base
}

// A flame graph of the past has the CPU profiles of a range, can be narrowed to a root span, and is
// compared with another range on the scale of the same duration.
func TestFlameOfThePast(t *testing.T) {
	p := newProfiler(t, profiler.Config{For: 100 * time.Millisecond, Every: 200 * time.Millisecond, RootLabel: "root"})
	e := newPage(t, page.Config{Profiler: p})
	has := func(root string) bool {
		for _, r := range p.Usage(time.Time{}, time.Time{}).Roots {
			if r.Root == root && r.Samples > 4 {
				return true
			}
		}
		return false
	}
	begin := time.Now().UnixMilli()
	busyUntil(t, "GET /before", func() bool { return has("GET /before") })
	n := p.Usage(time.Time{}, time.Time{}).Profiles
	testutil.Eventually(t, "another profile", func() bool { return p.Usage(time.Time{}, time.Time{}).Profiles > n })
	change := time.Now().UnixMilli()
	busyUntil(t, "GET /after", func() bool { return has("GET /after") })
	end := time.Now().UnixMilli() + 1000
	flame := func(query string) map[string]any {
		t.Helper()
		status, answer := getJSON(t, e, "flame?history=cpu&label=root&"+query)
		if status != http.StatusOK {
			t.Fatalf("%s: HTTP %d: %v", query, status, answer)
		}
		return answer
	}

	now, base := valuesOf(flame(fmt.Sprintf("from=%d&to=%d", begin, end)))
	if now["GET /before"] == 0 || now["GET /after"] == 0 || base["GET /after"] != -1 {
		t.Errorf("the whole range: %v, %v", now, base)
	}
	answer := flame(fmt.Sprintf("from=%d&to=%d&root=%s", begin, end, "GET+/after"))
	if now, _ = valuesOf(answer); len(now) != 1 || now["GET /after"] != answer["total"].(float64) {
		t.Errorf("one root span: %v of %v", now, answer["total"])
	}

	answer = flame(fmt.Sprintf("from=%d&to=%d&base_from=%d&base_to=%d", change, end, begin, change))
	now, base = valuesOf(answer)
	if now["GET /before"] != 0 || base["GET /before"] <= 0 || now["GET /after"] <= 0 || base["GET /after"] != 0 {
		t.Errorf("the difference: %v, %v", now, base)
	}
	profiles := func(from, to int64) (seconds float64) {
		for _, x := range p.Profiles(profiler.CPU, time.UnixMilli(from), time.UnixMilli(to)) {
			seconds += x.To.Sub(x.From).Seconds()
		}
		return seconds
	}
	whole := flame(fmt.Sprintf("from=%d&to=%d", begin, change))
	want := whole["total"].(float64) * profiles(int64(answer["from"].(float64)), int64(answer["to"].(float64))+1) / profiles(begin, change)
	if got := answer["base_total"].(float64); got < 0.95*want || got > 1.05*want {
		t.Errorf("base_total %v, want %v", got, want)
	}
	if answer["base_from"].(float64) < float64(begin) || answer["base_to"].(float64) > float64(change) || answer["tree"].(map[string]any)["b"] != answer["base_total"] {
		t.Errorf("base from %v to %v, %v", answer["base_from"], answer["base_to"], answer["tree"].(map[string]any)["b"])
	}

	if now, base = valuesOf(flame(fmt.Sprintf("from=%d&to=%d&base=healthy", change, end))); base["GET /before"] <= 0 || now["GET /after"] <= 0 {
		t.Errorf("compared with the last healthy time: %v, %v", now, base)
	}
}

// Heap and goroutine profiles of the past are the last ones at the end of the range.
func TestFlameOfPastGoroutines(t *testing.T) {
	p := newProfiler(t, profiler.Config{NoCPU: true})
	e := newPage(t, page.Config{Profiler: p})
	testutil.Eventually(t, "a goroutine profile", func() bool {
		return len(p.Profiles(profiler.Goroutine, time.Time{}, time.Time{})) > 0
	})
	status, answer := getJSON(t, e, "flame?history=goroutine&label=gmpulse")
	if now, _ := valuesOf(answer); status != http.StatusOK || answer["type"] != "goroutine" || now["profiler"] < 1 {
		t.Errorf("HTTP %d: %v", status, answer)
	}
	if status, answer = getJSON(t, e, "flame?history=heap"); status != http.StatusOK || answer["type"] != "inuse_space" {
		t.Errorf("HTTP %d: %v", status, answer)
	}
	status, answer = getJSON(t, e, "profiles")
	kinds := answer["kinds"].([]any)
	if status != http.StatusOK || len(kinds) != 3 || answer["max_bytes"] != float64(32<<20) || answer["bytes"].(float64) < 1 {
		t.Fatalf("HTTP %d: %v", status, answer)
	}
	heap := kinds[1].(map[string]any)
	if list := heap["profiles"].([]any); heap["kind"] != "heap" || len(list) != 1 || list[0].(map[string]any)["bytes"].(float64) < 1 {
		t.Errorf("%v", heap)
	}
}

func TestFlameOfThePastErrors(t *testing.T) {
	p := newProfiler(t, profiler.Config{NoCPU: true})
	testutil.Eventually(t, "a goroutine profile", func() bool {
		return len(p.Profiles(profiler.Goroutine, time.Time{}, time.Time{})) > 0
	})
	for _, test := range []struct {
		p      *profiler.Profiler
		query  string
		status int
		text   string
	}{
		{nil, "history=cpu", http.StatusNotFound, "GMPULSE_CPU_PROFILE"},
		{p, "history=cpu", http.StatusNotFound, "GMPULSE_CPU_PROFILE"},
		{p, "history=mutex", http.StatusBadRequest, "cpu, heap or goroutine"},
		{p, "history=heap&root=GET+/", http.StatusBadRequest, "root"},
		{p, "history=heap&to=1", http.StatusNotFound, "no heap profile"},
		{p, "history=heap&sample=x", http.StatusBadRequest, "sample"},
		{p, "history=heap&from=2&to=1", http.StatusBadRequest, "from"},
		{p, "history=heap&base=x", http.StatusBadRequest, "base"},
		{p, "history=heap&base_from=2&base_to=1", http.StatusBadRequest, "base_from"},
		{p, "history=heap&base=healthy&from=1", http.StatusNotFound, "compare"},
		{p, "history=goroutine&base=healthy", http.StatusNotFound, "compare"}, // with itself
	} {
		status, answer := getJSON(t, newPage(t, page.Config{Profiler: test.p}), "flame?"+test.query)
		if text, _ := answer["error"].(string); status != test.status || !strings.Contains(text, test.text) {
			t.Errorf("%s: HTTP %d: %v", test.query, status, answer)
		}
	}
	if status, _ := getJSON(t, newPage(t, page.Config{}), "profiles"); status != http.StatusNotFound {
		t.Errorf("profiles: HTTP %d", status)
	}
}
