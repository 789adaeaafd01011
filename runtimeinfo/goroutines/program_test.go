// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// frames returns a stack, leaf first.
func frames(functions string) (stack []Site) {
	for i, f := range strings.Fields(functions) {
		stack = append(stack, Site{Function: f, File: "/src/" + f + ".go", Line: i + 1})
	}
	return stack
}

// shop returns the build info of a program with all kinds of dependencies.
func shop() *debug.BuildInfo {
	return &debug.BuildInfo{
		Main: debug.Module{Path: "example.com/shop", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "example.com/shop/client", Version: "v1.2.0"}, // another module
			{Path: "example.com/stock", Version: "(devel)"},      // in the workspace
			{Path: "github.com/IBM/sarama", Version: "v1.40.1"},
			{Path: "github.com/nats-io/nats.go", Version: "v1.36.0"},
			{Path: "github.com/gin-gonic/gin", Version: "v1.10.0"},
			{Path: "golang.org/x/sync", Version: "v0.25.0"},
			{Path: "casekit", Version: "v0.0.0", Replace: &debug.Module{Path: "../kit", Version: "(devel)"}},
			{Path: "github.com/gmpulse/gmpulse", Version: "v0.9.0"},
		},
	}
}

func TestOwnerOf(t *testing.T) {
	bazel := shop()
	bazel.Main = debug.Module{}
	own := &debug.BuildInfo{Main: debug.Module{Path: "github.com/gmpulse/gmpulse"}}
	for name, tt := range map[string]struct {
		info     *debug.BuildInfo
		function string
		want     owner
	}{
		"main":                      {shop(), "main.main.func1", ofApplication},
		"main module":               {shop(), "example.com/shop.Run", ofApplication},
		"package of it":             {shop(), "example.com/shop/cart.(*Cart).notify", ofApplication},
		"external test":             {shop(), "example.com/shop_test.TestRun", ofApplication},
		"type arguments":            {shop(), "example.com/shop.F[github.com/IBM/sarama.Broker]", ofApplication},
		"in no module":              {shop(), "example.com/shopping.F", ofApplication},
		"similar path":              {shop(), "github.com/IBM/sarama2.F", ofApplication},
		"nested module":             {shop(), "example.com/shop/client.(*Client).Do", ofLibrary},
		"workspace":                 {shop(), "example.com/stock/table.Lock", ofApplication},
		"dependency":                {shop(), "github.com/IBM/sarama.(*Broker).Open", ofLibrary},
		"escaped":                   {shop(), "github.com/nats-io/nats%2ego.(*Conn).Flush", ofLibrary},
		"dependency without a dot":  {shop(), "casekit.(*Kit).Root", ofLibrary},
		"standard library":          {shop(), "net/http.(*conn).serve", ofStandard},
		"example of gmpulse":        {own, "github.com/gmpulse/gmpulse/examples/explosion/x.F", ofApplication},
		"Transport in it":           {own, "github.com/gmpulse/gmpulse/tracectx.(*transport).RoundTrip", ofAgent},
		"runtime":                   {shop(), "runtime.gopark", ofStandard},
		"vendored by it":            {shop(), "vendor/golang.org/x/net/http/httpguts.F", ofStandard},
		"agent":                     {shop(), "github.com/gmpulse/gmpulse/agent.(*Agent).Stop", ofAgent},
		"plugin":                    {shop(), "plugin/unnamed-0123456789abcdef.Handle", ofApplication},
		"module named as a package": {&debug.BuildInfo{Main: debug.Module{Path: "image"}}, "image/resize.F", ofApplication},
		"module with a dot at the end": {
			&debug.BuildInfo{Main: debug.Module{Path: "shop.example"}}, "shop%2eexample.Run", ofApplication,
		},
		"dependencies only":           {bazel, "example.com/mono/shop.Run", ofApplication},
		"dependencies only, one":      {bazel, "github.com/IBM/sarama.(*Broker).Open", ofLibrary},
		"dependencies only, standard": {bazel, "encoding/csv.(*Writer).Flush", ofStandard},
		"nothing known":               {nil, "example.com/shop.Run", ofLibrary},
		"nothing known, main":         {nil, "main.run", ofApplication},
		"nothing known, agent":        {nil, "github.com/gmpulse/gmpulse/tracectx.Do", ofAgent},
		"tests of the agent": {
			&debug.BuildInfo{Main: debug.Module{Path: "github.com/gmpulse/gmpulse"}}, "github.com/gmpulse/gmpulse/runtimeinfo/goroutines.TestWhere", ofApplication,
		},
		"benchmarks of the agent": {&debug.BuildInfo{
			Main: debug.Module{Path: "github.com/gmpulse/gmpulse/benchmarks"},
			Deps: []*debug.Module{{Path: "github.com/gmpulse/gmpulse", Version: "v0.0.0"}},
		}, "github.com/gmpulse/gmpulse/benchmarks/leaks.run", ofApplication},
		"the agent in its benchmarks": {&debug.BuildInfo{
			Main: debug.Module{Path: "github.com/gmpulse/gmpulse/benchmarks"},
			Deps: []*debug.Module{{Path: "github.com/gmpulse/gmpulse", Version: "v0.0.0"}},
		}, "github.com/gmpulse/gmpulse/agent.Start", ofAgent},
	} {
		p := programOf(tt.info)
		if got := p.ownerOf(tt.function); got != tt.want {
			t.Errorf("%s: the owner of %s is %d, want %d", name, tt.function, got, tt.want)
		}
	}
}

func TestWhere(t *testing.T) {
	const (
		core     = "runtime.gopark runtime.chanrecv runtime.chanrecv1 "
		handler  = " net/http.HandlerFunc.ServeHTTP net/http.serverHandler.ServeHTTP net/http.(*conn).serve"
		producer = "github.com/IBM/sarama.(*asyncProducer).dispatcher github.com/IBM/sarama.withRecover"
	)
	for name, tt := range map[string]struct{ stack, creation, want, line string }{
		"own frame": {
			stack: core + "github.com/gin-gonic/gin.(*Context).Next example.com/shop/cart.notify main.handle" + handler,
			want:  "example.com/shop/cart.notify",
		},
		"own frame before the creation": {
			stack: core + "main.work", creation: "golang.org/x/sync/errgroup.(*Group).Go main.start",
			want: "main.work", line: "main.start",
		},
		"library, made by the application": {
			stack: core + producer, creation: "github.com/IBM/sarama.newAsyncProducer github.com/IBM/sarama.NewAsyncProducer main.order" + handler,
			want: "main.order", line: "main.order",
		},
		"library alone": {
			stack: core + producer, want: "github.com/IBM/sarama.(*asyncProducer).dispatcher",
		},
		"library made by a library": {
			stack: core + "net/http.(*persistConn).readLoop", creation: "net/http.(*Transport).dialConn golang.org/x/sync/errgroup.(*Group).Go github.com/IBM/sarama.f",
			want: "github.com/IBM/sarama.f", line: "github.com/IBM/sarama.f",
		},
		"past plumbing": {
			stack: core + "golang.org/x/sync/singleflight.(*Group).Do casekit.(*Kit).load" + handler,
			want:  "casekit.(*Kit).load",
		},
		"standard library alone": {
			stack: core + "net/http.(*connReader).Read net/http.(*conn).serve", creation: "net/http.(*Server).Serve",
			want: "net/http.(*conn).serve",
		},
		"past the agent": {
			stack: core + "github.com/gmpulse/gmpulse/tracectx.Do example.com/shop.job", creation: "github.com/gmpulse/gmpulse/agent.Middleware example.com/shop.serve",
			want: "example.com/shop.job", line: "example.com/shop.serve",
		},
		"nothing": {},
	} {
		p := programOf(shop())
		creation := frames(tt.creation)
		if got := p.where(frames(tt.stack), creation); got.Function != tt.want {
			t.Errorf("%s: where is %q, want %q", name, got.Function, tt.want)
		}
		if got := p.creationLine(creation); got.Function != tt.line {
			t.Errorf("%s: the creation line is %q, want %q", name, got.Function, tt.line)
		}
	}
}

// In a test binary, stacks of live goroutines lead to the test.
func TestWhereInThisProcess(t *testing.T) {
	p := newProgram()
	stop := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer srv.Close()
	defer close(stop)
	for range 3 {
		go func() {
			if resp, err := http.Get(srv.URL); err == nil {
				resp.Body.Close()
			}
		}()
	}
	const here = "github.com/gmpulse/gmpulse/runtimeinfo/goroutines.TestWhereInThisProcess."
	want := map[string]string{ // site: where
		here + "func1":                      here + "func1", // the handler
		"net/http.(*persistConn).roundTrip": here + "func2", // the request
		"net/http.(*persistConn).writeLoop": "net/http.(*persistConn).writeLoop",
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s, err := NewSurveyor(SurveyConfig{}).Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for i := range s.Groups {
			if g := &s.Groups[i]; g.Count == 3 && want[g.Site.Function] != "" {
				found[g.Site.Function] = p.where(g.Stack, nil).Function
			}
		}
		if len(found) == len(want) {
			for site, where := range found {
				if where != want[site] {
					t.Errorf("%s: where is %s, want %s", site, where, want[site])
				}
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("found %v of %v", found, want)
		}
	}
}
