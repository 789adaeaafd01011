// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters/page"
)

type node struct {
	N int
	V int64
	C []node
}

type flame struct {
	Type, Unit    string
	Types, Labels []string
	Total         int64
	Names         []string
	Tree          node
}

// path returns the value at the end of a path through the tree, 0 if there is no such
// path.
func (f *flame) path(names ...string) int64 {
	at := f.Tree
	for _, name := range names {
		i := slices.IndexFunc(at.C, func(n node) bool { return f.Names[n.N] == name })
		if i < 0 {
			return 0
		}
		at = at.C[i]
	}
	return at.V
}

// total returns the sum over all nodes of one function.
func (f *flame) total(name string) (n int64) {
	var walk func(node)
	walk = func(x node) {
		if f.Names[x.N] == name {
			n += x.V
			return
		}
		for _, c := range x.C {
			walk(c)
		}
	}
	walk(f.Tree)
	return n
}

func waitHere(c chan struct{}) { <-c }

// capture returns bundles with real profiles of this process, in which seven goroutines
// wait in waitHere.
func capture(t *testing.T, at time.Time) fstest.MapFS {
	t.Helper()
	stop := make(chan struct{})
	ready := make(chan struct{}, 7)
	for range 7 {
		go pprof.Do(t.Context(), pprof.Labels("root", "GET /x"), func(context.Context) {
			ready <- struct{}{}
			waitHere(stop)
		})
	}
	for range 7 {
		<-ready
	}
	defer close(stop)
	files := fstest.MapFS{
		"one/manifest.json": {Data: []byte(`{"time":"` + at.Format(time.RFC3339Nano) + `","reason":"goroutines 3.2 times expected","more":[1]}`)},
		"one/exec.trace":    {Data: []byte("go 1.26 trace")},
		"one/broken.pb.gz":  {Data: []byte("not a profile")},
		"two/notes.txt":     {Data: []byte("no manifest"), ModTime: at.Add(-time.Hour)},
		".hidden/x":         {Data: []byte("secret")},
		"stray":             {Data: []byte("a file beside the bundles")},
	}
	var all []byte
	deadline := time.Now().Add(5 * time.Second)
	for _, kind := range []string{"goroutine", "heap"} {
		for { // until all seven have begun to wait
			var b bytes.Buffer
			if err := pprof.Lookup(kind).WriteTo(&b, 0); err != nil {
				t.Fatal(err)
			}
			all = b.Bytes()
			if kind != "goroutine" || waiting(t, all) == 7 || time.Now().After(deadline) {
				break
			}
		}
		files["one/"+kind+".pb.gz"] = &fstest.MapFile{Data: all}
	}
	return files
}

func waiting(t *testing.T, profile []byte) int64 {
	t.Helper()
	e := newPage(t, page.Config{Bundles: fstest.MapFS{"b/p.pb.gz": {Data: profile}}})
	var f flame
	call(t, e, "api/v1/flame?id=b&file=p.pb.gz", &f)
	return f.total("github.com/gmpulse/gmpulse/exporters/page_test.waitHere")
}

func TestCapturesAreListedAndServed(t *testing.T) {
	from := second(0).Time
	e := newPage(t, page.Config{Bundles: capture(t, from)})
	var list struct {
		Captures []struct {
			ID, Reason string
			T          int64
			Files      []struct {
				Name, Kind, Tool string
				Size             int64
			}
			Manifest struct{ More []int }
		}
	}
	call(t, e, "api/v1/captures", &list)
	if len(list.Captures) != 2 || list.Captures[0].ID != "one" || list.Captures[0].Reason != "goroutines 3.2 times expected" ||
		list.Captures[0].T != from.UnixMilli() || list.Captures[0].Manifest.More[0] != 1 || list.Captures[1].ID != "two" {
		t.Fatalf("%+v", list)
	}
	kinds := map[string]string{}
	for _, f := range list.Captures[0].Files {
		kinds[f.Name] = f.Kind + " " + f.Tool
	}
	if kinds["goroutine.pb.gz"] != "profile go tool pprof -http=: " || kinds["exec.trace"] != "trace go tool trace " || kinds["manifest.json"] != "other " {
		t.Errorf("%q", kinds)
	}
	w := call(t, e, "api/v1/capture?id=one&file=exec.trace", nil)
	if w.Body.String() != "go 1.26 trace" || w.Header().Get("Content-Disposition") != `attachment; filename="one-exec.trace"` || w.Header().Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%q %v", w.Body, w.Header())
	}
	for _, bad := range []string{"id=..&file=stray", "id=.&file=stray", "id=one&file=../stray", "id=.hidden&file=x", "id=one%2F..&file=stray", "id=one&file=", "id=&file=stray", "id=one%5C..&file=stray"} {
		if code := call(t, e, "api/v1/capture?"+bad, nil).Code; code != http.StatusNotFound {
			t.Errorf("%s: %d", bad, code)
		}
	}
}

func TestFlameGraphOfProfiles(t *testing.T) {
	e := newPage(t, page.Config{Bundles: capture(t, second(0).Time)})
	var f, heap, labelled flame
	call(t, e, "api/v1/flame?id=one&file=goroutine.pb.gz", &f)
	const here = "github.com/gmpulse/gmpulse/exporters/page_test.waitHere"
	if f.Type != "goroutine" || f.total(here) != 7 || f.Total < 8 || !slices.Contains(f.Labels, "root") {
		t.Errorf("%s: %d at one place of %d, labels %q", f.Type, f.total(here), f.Total, f.Labels)
	}
	call(t, e, "api/v1/flame?id=one&file=goroutine.pb.gz&label=root", &labelled)
	if labelled.path("GET /x") != 7 || labelled.path("(no root)") != f.Total-7 {
		t.Errorf("by label: %d and %d", labelled.path("GET /x"), labelled.path("(no root)"))
	}
	call(t, e, "api/v1/flame?id=one&file=heap.pb.gz&sample=1", &heap)
	if heap.Type != "alloc_space" || heap.Unit != "bytes" || len(heap.Types) != 4 {
		t.Errorf("%s in %s of %q", heap.Type, heap.Unit, heap.Types)
	}
	for path, want := range map[string]int{"id=one&file=broken.pb.gz": 422, "id=one&file=exec.trace": 404, "id=one&file=goroutine.pb.gz&sample=x": 400, "id=no&file=goroutine.pb.gz": 404} {
		if code := call(t, e, "api/v1/flame?"+path, nil).Code; code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}

// huge reports a size for its files that is above every limit.
type huge struct{ fstest.MapFS }

func (h huge) Open(name string) (fs.File, error) {
	f, err := h.MapFS.Open(name)
	return hugeFile{f}, err
}

type hugeFile struct{ fs.File }

func (f hugeFile) Stat() (fs.FileInfo, error) { return hugeInfo{}, nil }

type hugeInfo struct{ fs.FileInfo }

func TestFlameRejectsLargeProfiles(t *testing.T) {
	e := newPage(t, page.Config{Bundles: huge{fstest.MapFS{"one/cpu.pb.gz": {}}}})
	if code := call(t, e, "api/v1/flame?id=one&file=cpu.pb.gz", nil).Code; code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d", code)
	}
}

// Captures are taken one at a time and at most once a minute, for all clients together.
func TestCaptureIsRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reasons []string
		var fails error
		e := newPage(t, page.Config{Capture: func(ctx context.Context, reason string) (string, error) {
			reasons = append(reasons, reason)
			time.Sleep(10 * time.Second)
			return "id-1", errors.Join(fails, ctx.Err())
		}})
		post := func(body string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/captures", strings.NewReader(body)))
			return w
		}
		done := make(chan *httptest.ResponseRecorder)
		go func() { done <- post(`{"reason":"a spike"}`) }()
		synctest.Wait()
		if w := post("{}"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			t.Errorf("a concurrent capture: %d", w.Code)
		}
		if w := <-done; w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "id-1") || reasons[0] != "a spike" {
			t.Errorf("the first: %d %s", w.Code, w.Body)
		}
		if w := post(""); w.Code != http.StatusTooManyRequests {
			t.Errorf("too soon: %d", w.Code)
		}
		time.Sleep(time.Minute)
		fails = errors.New("disk full")
		if w := post(""); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "disk full") {
			t.Errorf("a failure: %d %s", w.Code, w.Body)
		}
		if w := post("not json"); w.Code != http.StatusBadRequest {
			t.Errorf("no JSON: %d", w.Code)
		}
		if len(reasons) != 2 {
			t.Errorf("%d captures were taken", len(reasons))
		}
	})
}
