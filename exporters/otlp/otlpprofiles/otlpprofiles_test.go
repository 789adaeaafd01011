// SPDX-License-Identifier: Apache-2.0

package otlpprofiles_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/otlp/otlpprofiles"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

var update = flag.Bool("update", false, "write the golden file")

func TestConformance(t *testing.T) {
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		s := startServer(t, nil)
		e, err := otlpprofiles.New(otlpprofiles.Config{Endpoint: s.URL})
		if err != nil {
			t.Fatal(err)
		}
		e.Enqueue("cpu", time.Time{}, time.Time{}, cpuProfile(t))
		return e
	})
}

// span returns a span whose ids begin with n.
func span(n byte, name string, began time.Time) runtimeinfo.Span {
	return runtimeinfo.Span{TraceID: [16]byte{n, 1}, SpanID: [8]byte{n, 2}, Name: name, Start: began, Sampled: true}
}

// tick gives e a snapshot with spans.
func tick(t *testing.T, e *otlpprofiles.Exporter, at time.Time, spans ...runtimeinfo.Span) {
	t.Helper()
	s := runtimeinfo.NewSnapshot()
	s.Time, s.Spans = at, spans
	s.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: "shop"}, {Key: "process.pid", Value: "42"}}
	if err := e.Export(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// send sends a profile and returns the error, or "" if it is delivered. e must have a snapshot, or waits for one.
func send(t *testing.T, e *otlpprofiles.Exporter, kind string, data []byte) string {
	t.Helper()
	before := e.ExporterStats()
	e.Enqueue(kind, time.Time{}, time.Time{}, data)
	testutil.Eventually(t, "the profile is sent", func() bool { return balance(t, e).Pending == 0 })
	if after := e.ExporterStats(); after.Errors+after.Timeouts > before.Errors+before.Timeouts {
		return after.LastError
	}
	return ""
}

// mustSend fails if the profile is not delivered.
func mustSend(t *testing.T, e *otlpprofiles.Exporter, kind string, data []byte) {
	t.Helper()
	if err := send(t, e, kind, data); err != "" {
		t.Fatal(err)
	}
}

func TestSamples(t *testing.T) {
	s := startServer(t, nil)
	e := newExporter(t, s.URL, otlpprofiles.Config{})
	tick(t, e, start.Add(500*time.Millisecond), span(1, "GET /cart", start))
	mustSend(t, e, "cpu", cpuProfile(t))
	price := "shop.round<shop.price<main.main"
	want := []flat{
		{"samples/count", "cpu", price, "GET /cart", "bb", "relation=concurrent tenant=blue", 42},
		{"samples/count", "cpu", price, "POST /pay", "", "tenant=blue", 7},
		{"samples/count", "cpu", "main.main", "", "", "", 1},
		{"cpu/nanoseconds", "cpu", price, "GET /cart", "bb", "relation=concurrent tenant=blue", 420_000_000},
		{"cpu/nanoseconds", "cpu", price, "POST /pay", "", "tenant=blue", 70_000_000},
		{"cpu/nanoseconds", "cpu", "main.main", "", "", "", 10_000_000},
	}
	if got := flatten(s.received()[0]); !slices.Equal(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}

// The request equals the golden file, except for the version in the resource.
func TestGolden(t *testing.T) {
	s := startServer(t, nil)
	e := newExporter(t, s.URL, otlpprofiles.Config{})
	tick(t, e, start.Add(500*time.Millisecond), span(1, "GET /cart", start))
	// The ids are of the data, which compress/gzip may encode differently in another version of Go.
	var plain bytes.Buffer
	if err := cpu().WriteUncompressed(&plain); err != nil {
		t.Fatal(err)
	}
	mustSend(t, e, "cpu", plain.Bytes())
	r := s.received()[0]
	r.ResourceProfiles[0].Resource.Attributes = slices.DeleteFunc(r.ResourceProfiles[0].Resource.Attributes, func(a *keyValue) bool {
		return strings.HasPrefix(a.Key, "telemetry.sdk.")
	})
	text, err := protojson.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Indent(&got, text, "", " "); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/cpu.json"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("differs from %s: go test -update shows it in git diff", file)
	}
}

// Profiles that the runtime writes arrive with all their values.
func TestProfilesOfTheRuntime(t *testing.T) {
	s := startServer(t, nil)
	e := newExporter(t, s.URL, otlpprofiles.Config{})
	stop := make(chan struct{})
	defer close(stop)
	ready := make(chan struct{})
	for i := range 3 {
		go pprof.Do(context.Background(), pprof.Labels(tracectx.RootLabel, "GET /wait", tracectx.EpochLabel, string('0'+rune(i))), func(context.Context) {
			ready <- struct{}{}
			<-stop
		})
		<-ready
	}
	for _, kind := range []string{"goroutine", "heap", "allocs", "threadcreate", "mutex", "block"} {
		var b bytes.Buffer
		if err := pprof.Lookup(kind).WriteTo(&b, 0); err != nil {
			t.Fatal(err)
		}
		src, err := profile.ParseData(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		before := len(s.received())
		mustSend(t, e, kind, b.Bytes())
		want, got, waiting := map[string]int64{}, map[string]int64{}, int64(0)
		for _, x := range src.Sample {
			for i, v := range x.Value {
				if v != 0 {
					want[src.SampleType[i].Type+"/"+src.SampleType[i].Unit] += v
				}
			}
		}
		for _, r := range s.received()[before:] {
			for _, f := range flatten(r) {
				got[f.sampleType] += f.value
				if f.root == "GET /wait" {
					waiting += f.value
				}
			}
		}
		if len(want) != len(got) {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
		for name, v := range want {
			if got[name] != v {
				t.Errorf("%s: %s is %d, want %d", kind, name, got[name], v)
			}
		}
		if kind == "goroutine" && waiting != 3 {
			t.Errorf("%d goroutines under GET /wait, want 3", waiting)
		}
	}
}

// A profile without samples is not sent.
func TestEmptyProfile(t *testing.T) {
	s := startServer(t, nil)
	e := newExporter(t, s.URL, otlpprofiles.Config{})
	p := cpu()
	p.Sample = nil
	mustSend(t, e, "cpu", encoded(t, p))
	if n := len(s.received()); n != 0 || balance(t, e).Delivered != 1 {
		t.Errorf("%d requests, %+v", n, balance(t, e))
	}
}

func TestLinks(t *testing.T) {
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	unsampled := span(9, "GET /cart", at(0))
	unsampled.Sampled = false
	type active struct {
		tick  int // ms
		spans []runtimeinfo.Span
	}
	cart := func(n byte, ms int) runtimeinfo.Span { return span(n, "GET /cart", at(ms)) }
	var many []active
	for i := range 600 { // each tick with another span
		x := cart(1, -1000*(600-i))
		x.SpanID = [8]byte{3, byte(i), byte(i >> 8)}
		many = append(many, active{-1000 * (600 - i), []runtimeinfo.Span{x}})
	}
	for _, test := range []struct {
		name  string
		ticks []active
		want  string // of GET /cart, whose profile is from 0 to 1000
	}{
		{"none", []active{{900, nil}}, ""},
		{"not sampled", []active{{900, []runtimeinfo.Span{unsampled}}}, ""},
		{"of another root", []active{{900, []runtimeinfo.Span{span(1, "GET /", at(0))}}}, ""},
		{"ended before", []active{{-2000, []runtimeinfo.Span{cart(1, -3000)}}, {-1000, nil}}, ""},
		{"began after", []active{{1900, []runtimeinfo.Span{cart(1, 1500)}}}, ""},
		{"still active at the last tick", []active{{-100, []runtimeinfo.Span{cart(1, -3000)}}}, "bb"},
		{"longest during the profile", []active{{200, []runtimeinfo.Span{cart(1, -9000), cart(2, 100)}}, {1200, []runtimeinfo.Span{cart(2, 100)}}}, "cc"},
		{"of many", append(many, active{800, []runtimeinfo.Span{cart(1, 0)}}), "bb"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startServer(t, nil)
			for _, noLinks := range []bool{false, true} {
				e := newExporter(t, s.URL, otlpprofiles.Config{NoLinks: noLinks})
				for _, a := range test.ticks {
					tick(t, e, at(a.tick), a.spans...)
				}
				mustSend(t, e, "cpu", cpuProfile(t))
			}
			for i, want := range []string{test.want, ""} {
				got := flatten(s.received()[i])[0]
				if got.trace != want || strings.Contains(got.attributes, "relation") != (want != "") {
					t.Errorf("NoLinks %v: linked to %q, want %q; attributes %s", i == 1, got.trace, want, got.attributes)
				}
			}
		})
	}
}

// Names are cut as in the label.
func TestLinkOfALongName(t *testing.T) {
	s := startServer(t, nil)
	e := newExporter(t, s.URL, otlpprofiles.Config{})
	name := "GET /" + strings.Repeat("long/", 20)
	p := cpu()
	p.Sample[0].Label[tracectx.RootLabel] = []string{tracectx.LabelValue(name)}
	tick(t, e, start, span(1, name, start))
	mustSend(t, e, "", encoded(t, p))
	if got := flatten(s.received()[0])[0]; got.trace != "bb" || got.root != name[:47] {
		t.Errorf("%+v", got)
	}
}

func TestTimes(t *testing.T) {
	s := startServer(t, nil)
	e := newExporter(t, s.URL, otlpprofiles.Config{})
	mustSend(t, e, "", cpuProfile(t))
	e.Enqueue("cpu", start.Add(time.Hour), start.Add(time.Hour+time.Minute), cpuProfile(t))
	testutil.Eventually(t, "two requests", func() bool { return len(s.received()) == 2 })
	for i, want := range []struct {
		start    time.Time
		duration time.Duration
	}{{start, time.Second}, {start.Add(time.Hour), time.Minute}} {
		p := s.received()[i].ResourceProfiles[0].ScopeProfiles[0].Profiles[0]
		if p.TimeUnixNano != uint64(want.start.UnixNano()) || p.DurationNano != uint64(want.duration) {
			t.Errorf("%d: from %d for %d", i, p.TimeUnixNano, p.DurationNano)
		}
	}
}

// Labels that would give a sample two attributes of one name are dropped and counted.
func TestLabels(t *testing.T) {
	p := cpu()
	p.Sample = p.Sample[:1]
	p.Sample[0].Label = map[string][]string{"size": {"big"}, "many": {"a", "b"}, "bad\xff": {"\xfe"}}
	p.Sample[0].NumLabel = map[string][]int64{"size": {1}, "bytes": {4096}, "list": {1, 2}}
	p.Sample[0].NumUnit = map[string][]string{"size": {""}, "bytes": {"bytes"}, "list": {"", ""}}
	s := startServer(t, nil)
	e := newExporter(t, s.URL, otlpprofiles.Config{})
	mustSend(t, e, "", encoded(t, p))
	r := s.received()[0]
	profiles := r.ResourceProfiles[0].ScopeProfiles[0].Profiles
	var got []string
	for _, i := range profiles[0].Samples[0].AttributeIndices {
		a := r.Dictionary.AttributeTable[i]
		got = append(got, r.Dictionary.StringTable[a.KeyStrindex]+" "+strings.ReplaceAll(a.Value.String(), "  ", " ")+" "+r.Dictionary.StringTable[a.UnitStrindex])
	}
	want := []string{
		"bad\uFFFD string_value:\"\uFFFD\" ", `many array_value:{values:{string_value:"a"} values:{string_value:"b"}} `, `size string_value:"big" `,
		"bytes int_value:4096 By", "list array_value:{values:{int_value:1} values:{int_value:2}} ",
	}
	if !slices.Equal(got, want) || profiles[0].DroppedAttributesCount != 1 {
		t.Errorf("%q, want %q; %d dropped", got, want, profiles[0].DroppedAttributesCount)
	}
}

func TestUnreadableProfile(t *testing.T) {
	s := startServer(t, nil)
	e := newExporter(t, s.URL, otlpprofiles.Config{})
	for _, data := range [][]byte{nil, []byte("no profile"), cpuProfile(t)[:40]} {
		if err := send(t, e, "cpu", data); err == "" {
			t.Errorf("%q was accepted", data)
		}
	}
	if a := balance(t, e); a.Dropped(exporters.DropUnreadable) != 3 || len(s.received()) != 0 {
		t.Errorf("%+v, %d requests", a, len(s.received()))
	}
}

func TestAfterShutdown(t *testing.T) {
	s := startServer(t, nil)
	e := newExporter(t, s.URL, otlpprofiles.Config{})
	shutdown(t, e, time.Second)
	e.Enqueue("cpu", time.Time{}, time.Time{}, cpuProfile(t))
	if a := balance(t, e); a.Dropped(exporters.DropShutdown) != 1 || len(s.received()) != 0 {
		t.Errorf("%+v", a)
	}
}

func TestHeaders(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20all,X-Team = a%2Cb ")
	t.Setenv("OTEL_EXPORTER_OTLP_PROFILES_HEADERS", "Authorization=Bearer%20mine")
	s := startServer(t, nil)
	e := newExporter(t, s.URL, otlpprofiles.Config{Headers: map[string]string{"X-Scope-OrgID": "7"}})
	mustSend(t, e, "", cpuProfile(t))
	h := s.headers[0]
	for name, want := range map[string]string{"Authorization": "Bearer mine", "X-Team": "a,b", "X-Scope-Orgid": "7", "Content-Encoding": "gzip", "User-Agent": "gmpulse"} {
		if h.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, h.Get(name), want)
		}
	}
}

func TestEndpoint(t *testing.T) {
	paths := make(chan string, 1)
	s := startServer(t, func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path })
	for _, test := range []struct{ all, profiles, config, want string }{
		{s.URL, "", "", "/v1development/profiles"},
		{s.URL + "/prefix/", "", "", "/prefix/v1development/profiles"},
		{"http://127.0.0.1:1", s.URL + "/v1/profiles", "", "/v1/profiles"},
		{"http://127.0.0.1:1", s.URL, "", "/"},
		{"http://127.0.0.1:1", "http://127.0.0.1:1", s.URL + "/x", "/x"},
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", test.all)
		t.Setenv("OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT", test.profiles)
		mustSend(t, newExporter(t, test.config, otlpprofiles.Config{}), "", cpuProfile(t))
		if got := <-paths; got != test.want {
			t.Errorf("%+v: posted to %s", test, got)
		}
	}
}
