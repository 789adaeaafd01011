// SPDX-License-Identifier: Apache-2.0

package leaktest

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
)

func TestParseHeader(t *testing.T) {
	for _, c := range []struct {
		line string
		want goroutine
	}{
		{`goroutine 7 [running]:`, goroutine{id: 7, state: "running"}},
		{`goroutine 7 [chan send, 2 minutes, locked to thread]:`, goroutine{id: 7, state: "chan send"}},
		{`goroutine 7 [select (no cases) (scan)]:`, goroutine{id: 7, state: "select (no cases)"}},
		{`goroutine 7 [sleep (durable), synctest bubble 3]:`, goroutine{id: 7, state: "sleep (durable)"}},
		{`goroutine 7 [IO wait labels:{"a b": "c\n\"d\"}]", "e": ""}]:`, goroutine{id: 7, state: "IO wait", labels: map[string]string{"a b": "c\n\"d\"}]", "e": ""}}},
		{`goroutine 7 [IO wait, 3 minutes] {a: b/c, "d e": "f: {g}, h", i: "\u1234\U00045678"}:`, goroutine{id: 7, state: "IO wait", labels: map[string]string{"a": "b/c", "d e": "f: {g}, h", "i": "\u1234\U00045678"}}},
		{`goroutine 7 gp=0xc000002380 m=nil [GC worker (idle)] {a: }:`, goroutine{id: 7, state: "GC worker (idle)", labels: map[string]string{"a": ""}}},
	} {
		if got, ok := parseHeader(c.line); !ok || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\ngot  %+v\nwant %+v", c.line, got, c.want)
		}
	}
	for _, line := range []string{"goroutine running on other thread", "goroutine x [idle]:", "goroutine 7", "goroutine [idle]:"} {
		if got, ok := parseHeader(line); ok {
			t.Errorf("%s is parsed as %+v", line, got)
		}
	}
}

func TestParse(t *testing.T) {
	const text = `goroutine 5 [chan receive]:
gopkg.in/yaml%2ev2.(*T).m[...](0x1, {0x2, ...})
	/a dir/x.go:12 +0x19 fp=0x1 sp=0x2 pc=0x3
...17 frames elided...
main.f(...)
	C:/src/y.go:3
created by main.main in goroutine 1
	/src/main.go:9 +0x1b
[originating from goroutine 1]:
main.other(...)
	/src/main.go:8 +0x1b

goroutine 6 [running]:
	goroutine running on other thread; stack unavailable
created by time.goFunc
	/go/src/time/sleep.go:215 +0x2d

goroutine 8 [runnable]:
main.cut(`
	want := []goroutine{
		{
			id: 5, state: "chan receive",
			frames:  []frame{{"gopkg.in/yaml.v2.(*T).m[...]", "/a dir/x.go", 12}, {"main.f", "C:/src/y.go", 3}},
			creator: frame{"main.main", "/src/main.go", 9}, creatorID: 1,
		},
		{id: 6, state: "running", creator: frame{"time.goFunc", "/go/src/time/sleep.go", 215}},
		{id: 8, state: "runnable", frames: []frame{{function: "main.cut"}}},
	}
	if got := parse(text); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	g := &want[1]
	if g.entry() != "" || g.where().String() != "an unknown place" || g.standard() {
		t.Errorf("a goroutine without a stack: %q, %v, %v", g.entry(), g.where(), g.standard())
	}
}

func FuzzParse(f *testing.F) {
	f.Add("goroutine 5 [chan receive labels:{\"a\": \"b\"}]:\nmain.f(...)\n\t/x.go:3 +0x1\ncreated by main.g in goroutine 1\n\t/x.go:9\n")
	f.Add("goroutine 5 [select] {a: b, \"c\": d}:\n...\n\n\tx")
	f.Fuzz(func(t *testing.T, text string) {
		all := parse(text)
		if most := strings.Count(text, "goroutine "); len(all) > most {
			t.Errorf("%d goroutines in a text with %d", len(all), most)
		}
		if len(identities(all)) > len(all) {
			t.Error("more identities than goroutines")
		}
		for i := range all { // what a check does with them
			g := &all[i]
			if g.where().String() == "" && len(g.frames) == 0 {
				t.Errorf("%+v has no place", g)
			}
			_ = g.entry()
			_ = g.standard()
			for _, f := range append(g.frames, g.creator) {
				if f.line < 0 && !strings.Contains(text, "-") {
					t.Errorf("frame %+v", f)
				}
				if test := f.test(); test != "" && !strings.HasSuffix(f.file, "_test.go") {
					t.Errorf("%+v is of %s", f, test)
				}
				_ = f.pkg()
			}
		}
	})
}

// A test fails if its goroutines cannot be listed.
func TestTooManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfig(nil)
		check, err := checks.begin("TestTooMany", c)
		if err != nil {
			t.Fatal(err)
		}
		check.config.limit = 100
		left, err := settle(c.wait, check.look)
		if !errors.Is(err, errTooMany) {
			t.Errorf("%v are left, error %v", left, err)
		}
		if len(checks.runs) > 0 && checks.runs[check.label] != nil {
			t.Error("the check has not ended")
		}
		var messages strings.Builder
		if code := run(passing{}, config{limit: 100}, &messages); code != 1 || !strings.Contains(messages.String(), errTooMany.Error()) {
			t.Errorf("Main ends with code %d: %s", code, messages.String())
		}
	})
}

type passing struct{}

func (passing) Run() int { return 0 }

// Frames of the standard library are recognized with -trimpath too.
func TestStandardFrames(t *testing.T) {
	if root := standardRoot(); root != "" && !strings.HasSuffix(root, "/src/") {
		t.Errorf("the standard library is in %q", root)
	}
	for function, want := range map[string]string{
		"net/http.(*conn).serve":               "net/http",
		"main.main":                            "main",
		"gopkg.in/yaml.v2.Unmarshal":           "gopkg.in/yaml",
		"example.com/a/b_test.TestX.func1":     "example.com/a/b_test",
		"sync.(*Mutex).Lock":                   "sync",
		"example.com/a.generic[go.shape.int,]": "example.com/a",
	} {
		if got := (frame{function: function}).pkg(); got != want {
			t.Errorf("%s is in %q, want %q", function, got, want)
		}
	}
}

func TestTestOf(t *testing.T) {
	for function, want := range map[string]string{
		"example.com/a_test.TestX.func1.2":     "TestX",
		"example.com/a.Test":                   "Test",
		"example.com/a.BenchmarkÄ.func1":       "BenchmarkÄ",
		"example.com/a.Testing.func1":          "",
		"example.com/a.TestMain.func1":         "",
		"example.com/a.(*suite).TestX":         "",
		"example.com/a.helper.TestX":           "",
		"example.com/a.FuzzParse.func1.1":      "FuzzParse",
		"example.com/a/v2.Example_two.gowrap1": "Example_two",
	} {
		if got := (frame{function: function, file: "/a/a_test.go"}).test(); got != want {
			t.Errorf("%s is of %q, want %q", function, got, want)
		}
		if got := (frame{function: function, file: "/a/a.go"}).test(); got != "" {
			t.Errorf("%s outside test files is of %q", function, got)
		}
	}
}

// The registry forgets goroutines that have ended.
func TestRegistryForgets(t *testing.T) {
	r := newRegistry()
	r.known[1<<60], r.unclaimed[1<<61] = true, true
	c, err := r.begin(t.Name(), newConfig([]Option{Wait(0)}))
	if err != nil {
		t.Fatal(err)
	}
	if left, err := c.look(true); len(left) > 0 || err != nil {
		t.Errorf("%v are left, error %v", left, err)
	}
	if n := len(r.known) + len(r.unclaimed) + len(r.runs) + len(r.begun); n > 0 || len(r.foreign) > 3 {
		t.Errorf("%d entries are left in the registry, and %d tests", n, len(r.foreign))
	}
}

func BenchmarkDump(b *testing.B) {
	const n = 1000
	stop := make(chan struct{})
	defer close(stop)
	for range n {
		go func() { <-stop }()
	}
	b.ReportAllocs()
	for b.Loop() {
		if all, err := labelledDump(maxDump); err != nil || len(all) < n {
			b.Fatalf("%d goroutines, error %v", len(all), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/goroutine")
}
