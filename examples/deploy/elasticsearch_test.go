// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// mapping is the part of the index template that maps fields to types.
type mapping struct {
	DynamicTemplates []map[string]struct {
		MatchMappingType string `json:"match_mapping_type"`
		Mapping          struct{ Type string }
	} `json:"dynamic_templates"`
	Properties map[string]property
}

type property struct {
	Type       string
	Properties map[string]property
}

// typeOf returns the type that Elasticsearch gives a field: by the field's name, otherwise
// by the first dynamic template for the JSON type of the first value.
func (m *mapping) typeOf(path, json string) string {
	props := m.Properties
	for rest := path; ; {
		if p, ok := props[rest]; ok {
			return p.Type
		}
		i := strings.Index(rest, ".")
		if i < 0 || props[rest[:i]].Properties == nil {
			break
		}
		props, rest = props[rest[:i]].Properties, rest[i+1:]
	}
	for _, template := range m.DynamicTemplates {
		for _, t := range template {
			if t.MatchMappingType == json {
				return t.Mapping.Type
			}
		}
	}
	return ""
}

// fields flattens a record into the fields that Elasticsearch derives from it, with the
// JSON type of each.
func fields(prefix string, v any, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			fields(prefix+"."+k, x, into)
		}
	case []any:
		for _, x := range v {
			fields(prefix, x, into)
		}
	case string:
		into[strings.TrimPrefix(prefix, ".")] = "string"
	case bool:
		into[strings.TrimPrefix(prefix, ".")] = "boolean"
	default: // 3 looks like a long, and the next value may be 3.5
		into[strings.TrimPrefix(prefix, ".")] = "long"
	}
}

// everything returns the fields of a record with every metric, and of an event.
func everything(t *testing.T) map[string]string {
	t.Helper()
	var points []runtimeinfo.Point
	for _, m := range catalogue.All() {
		p := runtimeinfo.Point{Metric: m, Number: 3}
		if m.Ranged {
			p.Range = &runtimeinfo.Range{Min: 2, Mean: 2.5, Max: 3}
		}
		if m.Kind == runtimeinfo.KindHistogram && m.Keys == nil {
			p.Histogram = &runtimeinfo.Histogram{Bounds: []float64{1}, Counts: []uint64{1, 2}, Sum: 3}
		}
		for range m.Keys {
			p.Labels = append(p.Labels, "x")
		}
		points = append(points, p)
	}
	s := runtimeinfo.NewSnapshot(points...)
	s.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: "shop"}, {Key: "service.instance.id", Value: "1"}}
	s.Spans = []runtimeinfo.Span{{Name: "GET /"}}
	s.Since, s.Ticks = s.Time.Add(-10*time.Second), 10
	s.Bands = []runtimeinfo.Band{{Signal: "goroutines", Value: 2, Upper: 1}}
	s.Incidents = []*runtimeinfo.Incident{exporttest.Event().Incident}
	all := map[string]string{
		"@timestamp": "string", "record": "string", // added by Fluentd, Fluent Bit and jsonl
		"agent.name": "string", "ecs.version": "string", "host.name": "string", "input.type": "string", // added by Filebeat
		"log.file.path": "string", "log.offset": "long", "error.message": "string",
	}
	for k, v := range exporters.FullRecord(s) {
		fields(k, v, all)
	}
	e := exporttest.Event()
	for k, v := range exporters.EventRecord(s, &e) {
		fields(k, v, all)
	}
	return all
}

func TestElasticsearchMapsEveryField(t *testing.T) {
	var template struct {
		Template struct{ Mappings mapping }
	}
	if err := json.Unmarshal([]byte(read(t, "elasticsearch/index-template.json")), &template); err != nil {
		t.Fatal(err)
	}
	all := everything(t)
	if len(all) < 200 {
		t.Fatalf("only %d fields", len(all))
	}
	takes := map[string][]string{
		"string":  {"keyword", "text", "date"},
		"long":    {"double", "unsigned_long"}, // a long would truncate the next value
		"boolean": {"boolean", ""},             // the default of a JSON boolean
	}
	for path, kind := range all {
		if got := template.Template.Mappings.typeOf(path, kind); !slices.Contains(takes[kind], got) {
			t.Errorf("%s is a %s and is mapped as %q", path, kind, got)
		}
		if got := template.Template.Mappings.typeOf(path, kind); got == "unsigned_long" && path != "seq" {
			t.Errorf("%s is mapped as an integer", path)
		}
	}
	paths := slices.Sorted(maps.Keys(all))
	for _, p := range paths {
		if i := slices.IndexFunc(paths, func(q string) bool { return strings.HasPrefix(q, p+".") }); i >= 0 {
			t.Errorf("%s is both a value and an object with the field %s", p, paths[i])
		}
	}
}
