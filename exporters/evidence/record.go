// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/manifest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// writeSamples writes the full record of each snapshot as a line of JSON, the oldest first,
// compressed with gzip.
func writeSamples(w io.Writer, all []*runtimeinfo.Snapshot) error {
	z := gzip.NewWriter(w)
	enc := json.NewEncoder(z)
	for _, snapshot := range all {
		line := maps.Collect(exporters.FullRecord(snapshot))
		line["@timestamp"] = snapshot.Time.UTC()
		if len(snapshot.Events) > 0 {
			var events []*manifest.Event
			for i := range snapshot.Events {
				events = append(events, eventOf(&snapshot.Events[i]))
			}
			line["events"] = events
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return z.Close()
}

// writeSpans writes the active spans in s, their groups, and the spans of the event.
func writeSpans(w io.Writer, s *runtimeinfo.Snapshot, e *runtimeinfo.Event) error {
	type group struct {
		Name   string  `json:"name"`
		Active int     `json:"active"`
		Oldest float64 `json:"oldest_age_seconds"`
		P50    float64 `json:"p50_seconds"`
		P99    float64 `json:"p99_seconds"`
	}
	out := struct {
		Time      time.Time       `json:"time"`
		Active    []manifest.Span `json:"active"`
		Groups    []group         `json:"groups"`
		Concerned []manifest.Span `json:"concerned,omitempty"`
	}{Active: []manifest.Span{}, Groups: []group{}}
	if s != nil {
		out.Time, out.Active = s.Time, append(out.Active, spansOf(s.Spans, s.Time)...)
		for i := range s.SpanGroups {
			g := &s.SpanGroups[i]
			age := 0.0
			if g.Active > 0 {
				age = s.Time.Sub(g.Oldest).Seconds()
			}
			out.Groups = append(out.Groups, group{Name: g.Name, Active: g.Active, Oldest: age, P50: g.P50.Seconds(), P99: g.P99.Seconds()})
		}
	}
	if e != nil {
		out.Concerned = spansOf(e.Spans, e.Time)
	}
	return indented(w, out)
}

// writeBuild writes the build information and the settings of the runtime. Of the environment it
// writes only GODEBUG, because other variables may be secret.
func writeBuild(w io.Writer) error {
	type module struct {
		Path    string `json:"path"`
		Version string `json:"version"`
		Replace string `json:"replaced_by,omitempty"`
	}
	out := struct {
		GoVersion   string            `json:"go_version"`
		OS          string            `json:"os"`
		Arch        string            `json:"arch"`
		MaxProcs    int               `json:"gomaxprocs"`
		GCPercent   uint64            `json:"gogc"`
		MemoryLimit uint64            `json:"gomemlimit"`
		Debug       string            `json:"godebug"`
		Main        string            `json:"main"`
		Settings    map[string]string `json:"settings"`
		Modules     []module          `json:"modules"`
	}{
		GoVersion: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		MaxProcs: runtime.GOMAXPROCS(0), Debug: os.Getenv("GODEBUG"), Settings: map[string]string{},
	}
	limits := []metrics.Sample{{Name: "/gc/gogc:percent"}, {Name: "/gc/gomemlimit:bytes"}}
	metrics.Read(limits)
	out.GCPercent, out.MemoryLimit = limits[0].Value.Uint64(), limits[1].Value.Uint64()
	if b, ok := debug.ReadBuildInfo(); ok {
		out.Main = b.Main.Path + " " + b.Main.Version
		for _, s := range b.Settings {
			out.Settings[s.Key] = s.Value
		}
		for _, m := range b.Deps {
			d := module{Path: m.Path, Version: m.Version}
			if m.Replace != nil {
				d.Replace = m.Replace.Path + " " + m.Replace.Version
			}
			out.Modules = append(out.Modules, d)
		}
	}
	return indented(w, out)
}

func indented(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// finite returns f, or nil if JSON cannot represent it.
func finite(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}
