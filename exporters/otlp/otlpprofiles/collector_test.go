// SPDX-License-Identifier: Apache-2.0

package otlpprofiles_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/exporters/otlp/otlpprofiles"
	"github.com/gmpulse/gmpulse/internal/peers"
)

func TestCollector(t *testing.T) {
	c := peers.StartCollector(t)
	t.Run("every sample", func(t *testing.T) { testEverySample(t, c) })
	t.Run("a profile of the runtime", func(t *testing.T) { testProfileOfTheRuntime(t, c) })
}

// The receiver of the OpenTelemetry Collector gets every sample with its stack, value, root span, link and
// resource, through the queue.
func testEverySample(t *testing.T, c *peers.Collector) {
	t.Helper()
	e := newExporter(t, "http://"+c.OTLPHTTP+"/v1development/profiles", otlpprofiles.Config{})
	tick(t, e, start.Add(500*time.Millisecond), span(0xab, "GET /cart", start))
	e.Enqueue("cpu", time.Time{}, time.Time{}, cpuProfile(t))
	all := c.Await(t, 6, func(r *peers.Record) bool { return r.Signal == "profile" })
	price := "shop.round price.go:21 < shop.price price.go:9 < main.main main.go:5"
	want := []string{
		"samples count [42] GET /cart " + price + " ab01 ab02 concurrent",
		"samples count [7] POST /pay " + price + "   <nil>",
		"samples count [1] <nil> main.main main.go:5   <nil>",
		"cpu nanoseconds [420000000] GET /cart " + price + " ab01 ab02 concurrent",
		"cpu nanoseconds [70000000] POST /pay " + price + "   <nil>",
		"cpu nanoseconds [10000000] <nil> main.main main.go:5   <nil>",
	}
	var got []string
	ids := map[string]bool{}
	for i := range all {
		r := &all[i]
		got = append(got, fmt.Sprint(r.Name, " ", r.Unit, " ", r.Profile.Values, " ", r.Attributes[string(otlpprofiles.RootAttribute)], " ",
			strings.Join(r.Profile.Stack, " < "), " ", first(r.TraceID), " ", first(r.SpanID), " ", r.Attributes["relation"]))
		ids[r.Profile.ID] = true
		if r.Start != fmtNano(start) || r.Time != fmtNano(start.Add(time.Second)) || r.Profile.Period != 10_000_000 || r.Profile.PeriodType != "cpu/nanoseconds" {
			t.Errorf("from %s to %s, period %d %s", r.Start, r.Time, r.Profile.Period, r.Profile.PeriodType)
		}
		if r.Resource["service.name"] != "shop" || r.Resource["process.pid"] != 42. || r.Scope != otlp.Scope || !slices.Equal(r.Schemas, []string{semconv.SchemaURL, semconv.SchemaURL}) {
			t.Errorf("resource %v, scope %q, schemas %v", r.Resource, r.Scope, r.Schemas)
		}
		if r.Profile.Attributes["gmpulse.profile.kind"] != "cpu" {
			t.Errorf("%s: attributes %v", r.Name, r.Profile.Attributes)
		}
	}
	if !slices.Equal(got, want) || len(ids) != 2 {
		t.Errorf("%d ids; got\n%s\nwant\n%s", len(ids), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A profile that the runtime writes arrives with the same values for the same stacks.
func testProfileOfTheRuntime(t *testing.T, c *peers.Collector) {
	t.Helper()
	e := newExporter(t, "http://"+c.OTLPHTTP+"/v1development/profiles", otlpprofiles.Config{})
	var b bytes.Buffer
	if err := pprof.Lookup("allocs").WriteTo(&b, 0); err != nil {
		t.Fatal(err)
	}
	src, err := profile.ParseData(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	mustSend(t, e, "allocs", b.Bytes())
	want, got := map[string]int64{}, map[string]int64{}
	for _, s := range src.Sample {
		var frames []string
		for _, l := range s.Location {
			for _, line := range l.Line {
				frames = append(frames, fmt.Sprintf("%s %s:%d", line.Function.Name, line.Function.Filename, line.Line))
			}
		}
		for i, v := range s.Value {
			if v != 0 {
				want[fmt.Sprintf("%s%d%s", src.SampleType[i].Type, s.NumLabel["bytes"], frames)] += v
			}
		}
	}
	all := c.Records(t) // complete, because the receiver answers when the records are written
	for i := range all {
		r := &all[i]
		if r.Profile == nil || r.Profile.Attributes["gmpulse.profile.kind"] != "allocs" {
			continue
		}
		got[fmt.Sprintf("%s[%.0f]%s", r.Name, r.Attributes["bytes"], r.Profile.Stack)] += r.Profile.Values[0]
		if r.Profile.Units["bytes"] != "By" {
			t.Errorf("the unit of the size of a block is %q", r.Profile.Units["bytes"])
		}
	}
	if len(want) == 0 || !maps.Equal(got, want) {
		t.Errorf("got %d stacks, want %d", len(got), len(want))
	}
}

func fmtNano(t time.Time) json.Number { return json.Number(strconv.FormatInt(t.UnixNano(), 10)) }

// first returns the first four digits of an id.
func first(id string) string { return id[:min(4, len(id))] }
