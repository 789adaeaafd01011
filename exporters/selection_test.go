// SPDX-License-Identifier: Apache-2.0

package exporters_test

import (
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func selectable() []*runtimeinfo.Metric {
	state := func(value string, detail bool) *runtimeinfo.Metric {
		return &runtimeinfo.Metric{Name: "go.cpu.time", Subsystem: "cpu", Attr: runtimeinfo.Attr{Key: "go.cpu.state", Value: value}, Detail: detail}
	}
	return []*runtimeinfo.Metric{
		{Name: "gmpulse.threads", Subsystem: "scheduler"},
		{Name: "gmpulse.cgo.calls", Subsystem: "scheduler", Detail: true},
		state("user", true), state("gc", false),
		{Name: "gmpulse.exporter.up", Subsystem: "agent"},
		{Name: "gmpulse.exporter.failures", Subsystem: "agent", Detail: true},
		{Name: "shop.queue.depth", Subsystem: runtimeinfo.SubsystemUser},
	}
}

func TestSelectionMatch(t *testing.T) {
	const (
		threads, calls, user, gc, up, failures, depth = "gmpulse.threads", "gmpulse.cgo.calls", "go.cpu.time.user", "go.cpu.time.gc",
			"gmpulse.exporter.up", "gmpulse.exporter.failures", "shop.queue.depth"
	)
	for text, want := range map[string][]string{
		"":                                   {threads, gc, up, depth},
		"default":                            {threads, gc, up, depth},
		" , ":                                {threads, gc, up, depth},
		"all":                                {threads, calls, user, gc, up, failures, depth},
		"scheduler":                          {threads, calls},
		"-scheduler":                         {gc, up, depth},
		"default,-agent,gmpulse.exporter.up": {threads, gc, up, depth},
		"default, gmpulse.exporter.*":        {threads, gc, up, failures, depth},
		"all,-gmpulse.*":                     {user, gc, depth},
		"go.cpu.time":                        {user, gc},
		"go.cpu.time.user,user":              {user, depth},
		"all,-default":                       {calls, user, failures},
		"-all,cpu,-go.cpu.time.g?":           {user},
	} {
		s, err := exporters.NewSelection(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		var got []string
		for _, m := range selectable() {
			if s.Match(m) {
				got = append(got, m.Key())
			}
		}
		if g, w := strings.Join(got, " "), strings.Join(want, " "); g != w {
			t.Errorf("%q is\n%s\nwant\n%s", text, g, w)
		}
		if err := s.Check(selectable()); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Each malformed entry is named, and the others apply.
func TestSelectionReportsMalformedEntries(t *testing.T) {
	s, err := exporters.NewSelection("scheduler", "-", "a b", "x=y,gmpulse.[", "tcp://host:1")
	if err == nil {
		t.Fatal("no error")
	}
	for _, entry := range []string{`"-"`, `"a b"`, `"x=y"`, `"gmpulse.["`, `"tcp://host:1"`} {
		if !strings.Contains(err.Error(), entry) {
			t.Errorf("the error does not name %s:\n%v", entry, err)
		}
	}
	if all := selectable(); !s.Match(all[1]) || s.Match(all[4]) {
		t.Error("the entry scheduler has no effect")
	}
}

func TestSelectionCheck(t *testing.T) {
	for entry, near := range map[string]string{
		"schedulr":                      "scheduler",
		"-defaul":                       "default",
		"gmpulse.exporter.upp":          "gmpulse.exporter.up",
		"gmpulse_exporter_failures":     "gmpulse.exporter.failures",
		"gmpulse_cgo_calls_total":       "gmpulse.cgo.calls",
		"go.cpu.time.usr":               "go.cpu.time.user",
		"something.else.entirely.*":     "",
		"Shop.Queue.Depth":              "shop.queue.depth",
		"gmpulse.exporter.nothing.here": "",
	} {
		s, err := exporters.NewSelection("default", entry)
		if err != nil {
			t.Errorf("%s: %v", entry, err)
		}
		err = s.Check(selectable())
		if err == nil || !strings.Contains(err.Error(), `"`+strings.TrimPrefix(entry, "-")+`"`) {
			t.Errorf("%s: the error does not name it: %v", entry, err)
			continue
		}
		if _, got, _ := strings.Cut(err.Error(), "did you mean "); strings.TrimSuffix(got, "?") != near {
			t.Errorf("%s: near is %q, want %q", entry, got, near)
		}
	}
}

func TestSelectionMatchDoesNotAllocate(t *testing.T) {
	s, _ := exporters.NewSelection("default,-agent,gmpulse.exporter.*,go.cpu.time")
	m := selectable()[5]
	if n := testing.AllocsPerRun(100, func() { s.Match(m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
