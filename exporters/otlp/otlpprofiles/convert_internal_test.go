// SPDX-License-Identifier: Apache-2.0

package otlpprofiles

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/pprof/profile"
	pb "go.opentelemetry.io/proto/slim/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gmpulse/gmpulse/exporters/otlp/internal/identity"
	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// script makes decisions from the bytes of a fuzz input.
type script []byte

func (s *script) byte() byte {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return b
}

func (s *script) below(n int) int { return int(s.byte()) % n }

// text returns one of a few strings, so that many are equal, some of which are not valid UTF-8.
func (s *script) text() string {
	return []string{"", "a", "b", "main.f", "main.g", "bad\xff", "bad\xfe", "bytes", tracectx.RootLabel, tracectx.EpochLabel, "relation", string(RootAttribute)}[s.below(12)]
}

// profile returns a valid profile.
func (s *script) profile() *profile.Profile {
	p := &profile.Profile{TimeNanos: int64(s.byte()), DurationNanos: int64(s.byte()) - 3, Period: int64(s.byte())}
	for range 1 + s.below(3) {
		p.SampleType = append(p.SampleType, &profile.ValueType{Type: s.text(), Unit: s.text()})
	}
	if s.below(2) == 1 {
		p.PeriodType = &profile.ValueType{Type: s.text(), Unit: s.text()}
	}
	for i := range s.below(4) {
		p.Mapping = append(p.Mapping, &profile.Mapping{ID: uint64(i + 1), Start: uint64(s.below(2)), File: s.text(), BuildID: s.text(), HasFunctions: s.below(2) == 1})
	}
	for i := range s.below(5) {
		p.Function = append(p.Function, &profile.Function{ID: uint64(i + 1), Name: s.text(), SystemName: s.text(), Filename: s.text(), StartLine: int64(s.below(3))})
	}
	for i := range s.below(6) {
		l := &profile.Location{ID: uint64(i + 1), Address: uint64(s.below(3)), IsFolded: s.below(4) == 0}
		if len(p.Mapping) > 0 && s.below(3) > 0 {
			l.Mapping = p.Mapping[s.below(len(p.Mapping))]
		}
		for range s.below(3) {
			if len(p.Function) > 0 {
				l.Line = append(l.Line, profile.Line{Function: p.Function[s.below(len(p.Function))], Line: int64(s.below(3)), Column: int64(s.below(2))})
			}
		}
		p.Location = append(p.Location, l)
	}
	for len(*s) > 0 && len(p.Sample) < 200 {
		p.Sample = append(p.Sample, s.sample(p))
	}
	return p
}

func (s *script) sample(p *profile.Profile) *profile.Sample {
	x := &profile.Sample{}
	for range p.SampleType {
		x.Value = append(x.Value, []int64{0, 1, 7, -1, 1 << 62, -1 << 63, int64(s.byte())}[s.below(7)])
	}
	for range s.below(5) {
		if len(p.Location) > 0 {
			x.Location = append(x.Location, p.Location[s.below(len(p.Location))])
		}
	}
	for range s.below(4) {
		if x.Label == nil {
			x.Label, x.NumLabel, x.NumUnit = map[string][]string{}, map[string][]int64{}, map[string][]string{}
		}
		key := s.text()
		switch s.below(4) {
		case 0:
			x.NumLabel[key], x.NumUnit[key] = append(x.NumLabel[key], int64(s.byte())), append(x.NumUnit[key], s.text())
		default:
			x.Label[key] = append(x.Label[key], s.text())
		}
	}
	return x
}

// FuzzConvert checks that a conversion keeps the total of each type of sample, by root and by stack, and that the
// result is a valid message.
func FuzzConvert(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("0123456789 a longer text for a profile with some samples, locations and labels"))
	f.Add(slices.Repeat([]byte{1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144}, 30))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := script(data)
		src := s.profile()
		if err := src.CheckValid(); err != nil {
			t.Fatalf("the test makes an invalid profile: %v", err)
		}
		c := conversion{src: src, about: &item{kind: s.text(), data: data}, example: func(root string) *runtimeinfo.Span {
			return &runtimeinfo.Span{TraceID: [16]byte{byte(len(root))}, SpanID: [8]byte{1}}
		}}
		d, all := c.convert()
		checkDictionary(t, d, all)
		want := map[string]int64{}
		for _, x := range src.Sample {
			var frames []string
			for _, l := range x.Location {
				for _, line := range l.Line {
					frames = append(frames, fmt.Sprintf("%s:%d", identity.Valid(line.Function.Name), line.Line))
				}
			}
			root := "none"
			if r := x.Label[tracectx.RootLabel]; len(r) > 0 {
				root = "root " + identity.Valid(r[0])
			}
			for i, v := range x.Value {
				want[fmt.Sprintf("%d %s %s", i, root, strings.Join(frames, "<"))] += v
			}
		}
		maps.DeleteFunc(want, func(_ string, v int64) bool { return v == 0 })
		got := totals(&c, d, all)
		if !maps.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
	})
}

// totals returns the sums of values by type, root and stack.
func totals(c *conversion, d *pb.ProfilesDictionary, all []*pb.Profile) map[string]int64 {
	got := map[string]int64{}
	for _, p := range all {
		sampleType := 0
		for !bytes.Equal(p.ProfileId, profileID(c.about, sampleType)) {
			sampleType++
		}
		for _, s := range p.Samples {
			var frames []string
			for _, i := range d.StackTable[s.StackIndex].LocationIndices {
				for _, l := range d.LocationTable[i].Lines {
					frames = append(frames, fmt.Sprintf("%s:%d", d.StringTable[d.FunctionTable[l.FunctionIndex].NameStrindex], l.Line))
				}
			}
			root := "none"
			for _, i := range s.AttributeIndices {
				a := d.AttributeTable[i]
				if d.StringTable[a.KeyStrindex] == string(RootAttribute) && s.LinkIndex > 0 {
					root = "root " + a.Value.GetStringValue()
				}
			}
			got[fmt.Sprintf("%d %s %s", sampleType, root, strings.Join(frames, "<"))] += s.Values[0]
		}
	}
	maps.DeleteFunc(got, func(_ string, v int64) bool { return v == 0 })
	return got
}

// checkDictionary checks what the protocol demands of the tables and of what refers to them.
func checkDictionary(t *testing.T, d *pb.ProfilesDictionary, all []*pb.Profile) {
	t.Helper()
	if _, err := proto.Marshal(d); err != nil {
		t.Error(err)
	}
	first := &pb.ProfilesDictionary{
		StringTable: []string{""}, MappingTable: []*pb.Mapping{{}}, LocationTable: []*pb.Location{{}}, FunctionTable: []*pb.Function{{}},
		LinkTable: []*pb.Link{{TraceId: make([]byte, 16), SpanId: make([]byte, 8)}}, AttributeTable: []*pb.KeyValueAndUnit{{}}, StackTable: []*pb.Stack{{}},
	}
	got := &pb.ProfilesDictionary{
		StringTable: d.StringTable[:1], MappingTable: d.MappingTable[:1], LocationTable: d.LocationTable[:1], FunctionTable: d.FunctionTable[:1],
		LinkTable: d.LinkTable[:1], AttributeTable: d.AttributeTable[:1], StackTable: d.StackTable[:1],
	}
	if !proto.Equal(got, first) {
		t.Errorf("index 0 of the tables is %v", got)
	}
	seen := map[string]bool{}
	d.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		for i := range v.List().Len() {
			key := fmt.Sprint(f.Name(), " ", v.List().Get(i))
			if m, ok := v.List().Get(i).Interface().(protoreflect.Message); ok {
				b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(m.Interface())
				key = fmt.Sprint(f.Name(), " ", string(b))
			}
			if seen[key] {
				t.Errorf("twice in a table: %s", key)
			}
			seen[key] = true
		}
		return true
	})
	for _, p := range all {
		for _, s := range p.Samples {
			keys := map[int32]bool{}
			for _, i := range s.AttributeIndices {
				if key := d.AttributeTable[i].KeyStrindex; keys[key] {
					t.Errorf("a sample has the attribute %q twice", d.StringTable[key])
				} else {
					keys[key] = true
				}
			}
			if len(s.Values) != 1 || s.Values[0] == 0 {
				t.Errorf("values %v", s.Values)
			}
		}
	}
}

// The conversion allocates no more than it has asked for (headroom.Check).
func TestMemoryOfConversion(t *testing.T) {
	for _, kind := range []string{"goroutine", "heap", "allocs"} {
		var b bytes.Buffer
		if err := pprof.Lookup(kind).WriteTo(&b, 0); err != nil {
			t.Fatal(err)
		}
		src, err := profiles.Decode(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		own := src.Sample
		for i := range 3000 { // as in a large service: many stacks under many roots
			x := *own[i%len(own)]
			x.Location = slices.Concat(x.Location, own[i/7%len(own)].Location)
			x.Label = map[string][]string{tracectx.RootLabel: {fmt.Sprint("GET /", i%50)}, tracectx.EpochLabel: {strconv.Itoa(i)}}
			src.Sample = append(src.Sample, &x)
		}
		b.Reset()
		if err := src.Write(&b); err != nil {
			t.Fatal(err)
		}
		e, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := e.encode(&item{kind: kind, data: b.Bytes()}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		size := profiles.Size(b.Bytes())
		used := int64(after.TotalAlloc - before.TotalAlloc)
		t.Logf("%s: %d KB, allocated %.1f times that", kind, size>>10, float64(used)/float64(size))
		if used > expansion*size+2<<20 { // and the gzip writer
			t.Errorf("%s: %d bytes allocated for a profile of %d bytes", kind, used, size)
		}
	}
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b backoff
		for _, limit := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
			began := time.Now()
			b.sleep(t.Context(), 0, nil)
			if d := time.Since(began); d < limit/2 || d > limit {
				t.Errorf("slept for %v, want between %v and %v", d, limit/2, limit)
			}
		}
		began := time.Now()
		if b.sleep(t.Context(), 5*time.Minute, nil); time.Since(began) != 5*time.Minute {
			t.Errorf("slept for %v although the server asked for 5 min", time.Since(began))
		}
		closing := make(chan struct{})
		time.AfterFunc(time.Minute, func() { close(closing) })
		began = time.Now()
		if b.sleep(t.Context(), time.Hour, closing); time.Since(began) != time.Minute {
			t.Errorf("slept for %v, want until Shutdown after 1 min", time.Since(began))
		}
		began = time.Now()
		if b.sleep(t.Context(), time.Hour, closing); time.Since(began) != time.Second {
			t.Errorf("slept for %v during Shutdown, want 1 s", time.Since(began))
		}
	})
}

func TestJudge(t *testing.T) {
	u, err := url.Parse("http://collector:4318/secret")
	if err != nil {
		t.Fatal(err)
	}
	for code, again := range map[int]bool{200: false, 202: false, 301: false, 400: false, 408: false, 429: true, 500: false, 502: true, 503: true, 504: true} {
		err := judge(&http.Response{StatusCode: code, Status: strconv.Itoa(code), Request: &http.Request{URL: u}}, nil)
		if (err == nil) != (code/100 == 2) {
			t.Errorf("%d: %v", code, err)
		}
		if _, got := errors.AsType[*retryError](err); got != again {
			t.Errorf("%d: sent again %v, want %v", code, got, again)
		}
	}
}
