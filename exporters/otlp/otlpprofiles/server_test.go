// SPDX-License-Identifier: Apache-2.0

package otlpprofiles_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/profiles/v1development"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/otlp/otlpprofiles"
	"github.com/gmpulse/gmpulse/tracectx"
)

// server decodes the requests that it receives.
type server struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request) // default: 200 without a body

	mu       sync.Mutex
	requests []*collectorpb.ExportProfilesServiceRequest
	headers  []http.Header
	bodies   [][]byte
}

func startServer(t *testing.T, answer func(http.ResponseWriter, *http.Request)) *server {
	t.Helper()
	s := &server{answer: answer}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	req := &collectorpb.ExportProfilesServiceRequest{}
	plain := body
	if r.Header.Get("Content-Encoding") == "gzip" {
		if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
			plain, _ = io.ReadAll(z) // what is cut short is no message
		}
	}
	if err := proto.Unmarshal(plain, req); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "not a request for OTLP", http.StatusTeapot)
		return
	}
	s.mu.Lock()
	s.requests, s.headers, s.bodies = append(s.requests, req), append(s.headers, r.Header), append(s.bodies, body)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-protobuf")
	if s.answer != nil {
		s.answer(w, r)
	}
}

func (s *server) received() []*collectorpb.ExportProfilesServiceRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*collectorpb.ExportProfilesServiceRequest(nil), s.requests...)
}

// kinds returns the kinds of the profiles that were received, in order.
func (s *server) kinds() (all []string) {
	for _, r := range s.received() {
		for _, f := range flatten(r)[:1] {
			all = append(all, f.kind)
		}
	}
	return all
}

// newExporter returns an exporter that sends to endpoint and is shut down at the end of the test.
func newExporter(t *testing.T, endpoint string, c otlpprofiles.Config) *otlpprofiles.Exporter {
	t.Helper()
	c.Endpoint = endpoint
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := otlpprofiles.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, e, 5*time.Second) })
	return e
}

func shutdown(t *testing.T, e *otlpprofiles.Exporter, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := e.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// log collects lines.
type log struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// count returns the number of lines that contain a text.
func (l *log) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.lines.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// balance returns the account of profiles, whose sums must be right.
func balance(t *testing.T, e *otlpprofiles.Exporter) exporters.Account {
	t.Helper()
	a := e.ExporterStats().Snapshots
	if a.Accepted != a.Delivered+a.Pending+a.Lost() {
		t.Errorf("does not balance: %+v", a)
	}
	return a
}

var start = time.Unix(1_800_000_000, 5)

// cpuProfile returns a CPU profile of two functions under two roots and under none, encoded.
func cpuProfile(t testing.TB) []byte {
	t.Helper()
	return encoded(t, cpu())
}

func cpu() *profile.Profile {
	m := &profile.Mapping{ID: 1, Start: 0x400000, Limit: 0x500000, File: "/bin/shop", BuildID: "abc", HasFunctions: true, HasFilenames: true, HasLineNumbers: true}
	main := &profile.Function{ID: 1, Name: "main.main", SystemName: "main.main", Filename: "main.go", StartLine: 3}
	price := &profile.Function{ID: 2, Name: "shop.price", SystemName: "shop.price", Filename: "price.go", StartLine: 7}
	round := &profile.Function{ID: 3, Name: "shop.round", SystemName: "shop.round", Filename: "price.go", StartLine: 20}
	inMain := &profile.Location{ID: 1, Mapping: m, Address: 0x401000, Line: []profile.Line{{Function: main, Line: 5}}}
	inPrice := &profile.Location{ID: 2, Mapping: m, Address: 0x402000, Line: []profile.Line{{Function: round, Line: 21}, {Function: price, Line: 9}}} // round is inlined
	sample := func(n int64, root, epoch string, at ...*profile.Location) *profile.Sample {
		s := &profile.Sample{Location: at, Value: []int64{n, n * 10_000_000}}
		if root != "" {
			s.Label = map[string][]string{tracectx.RootLabel: {root}, tracectx.EpochLabel: {epoch}, "tenant": {"blue"}}
		}
		return s
	}
	return &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 10_000_000,
		TimeNanos: start.UnixNano(), DurationNanos: int64(time.Second),
		Sample: []*profile.Sample{
			sample(30, "GET /cart", "0", inPrice, inMain), sample(12, "GET /cart", "10", inPrice, inMain),
			sample(7, "POST /pay", "10", inPrice, inMain), sample(1, "", "", inMain),
		},
		Location: []*profile.Location{inMain, inPrice}, Function: []*profile.Function{main, price, round}, Mapping: []*profile.Mapping{m},
	}
}

func encoded(t testing.TB, p *profile.Profile) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.CheckValid(); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// flat is a sample as a reader of the protocol sees it.
type flat struct {
	sampleType, kind, stack, root, trace, attributes string
	value                                            int64
}

// flatten returns the samples of a request. It fails on an index that is out of range by a panic.
func flatten(r *collectorpb.ExportProfilesServiceRequest) (all []flat) {
	d := r.Dictionary
	text := func(i int32) string { return d.StringTable[i] }
	for _, p := range r.ResourceProfiles[0].ScopeProfiles[0].Profiles {
		kind := ""
		for _, i := range p.AttributeIndices {
			if a := d.AttributeTable[i]; text(a.KeyStrindex) == string(otlpprofiles.KindAttribute) {
				kind = a.Value.GetStringValue()
			}
		}
		for _, s := range p.Samples {
			f := flat{sampleType: text(p.SampleType.TypeStrindex) + "/" + text(p.SampleType.UnitStrindex), kind: kind, value: s.Values[0]}
			var frames, attributes []string
			for _, i := range d.StackTable[s.StackIndex].LocationIndices {
				for _, l := range d.LocationTable[i].Lines {
					frames = append(frames, text(d.FunctionTable[l.FunctionIndex].NameStrindex))
				}
			}
			for _, i := range s.AttributeIndices {
				a := d.AttributeTable[i]
				if key := text(a.KeyStrindex); key == string(otlpprofiles.RootAttribute) {
					f.root = a.Value.GetStringValue()
				} else {
					attributes = append(attributes, key+"="+a.Value.GetStringValue())
				}
			}
			if l := d.LinkTable[s.LinkIndex]; s.LinkIndex > 0 {
				f.trace = string('a'+rune(l.TraceId[0])) + string('a'+rune(l.SpanId[0]))
			}
			f.stack, f.attributes = strings.Join(frames, "<"), strings.Join(attributes, " ")
			all = append(all, f)
		}
	}
	return all
}

// keyValue is an attribute of a resource.
type keyValue = commonpb.KeyValue
