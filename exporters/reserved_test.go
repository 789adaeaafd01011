// SPDX-License-Identifier: Apache-2.0

package exporters_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Records have fields that are not metrics, such as seq. The engine rejects gauges with their names.
func TestGaugesCannotHaveTheNameOfARecordField(t *testing.T) {
	r := sampler.NewReader(sampler.Config{Resource: []runtimeinfo.Attr{{Key: "service.name", Value: "service"}}})
	r.Read(sampler.Tick{Time: time.Now()})
	metrics := map[string]bool{}
	for p := range r.Snapshot().Points() {
		metrics[p.Metric.Key()] = true
		metrics[p.Metric.Key()+".count"], metrics[p.Metric.Key()+".sum"] = true, true
	}
	s := everything()
	s = s.WithEvents([]runtimeinfo.Event{exporttest.Event()})
	fields := map[string]bool{}
	for k := range exporters.Record(s) {
		fields[k] = true
	}
	for i := range s.Events {
		for k := range exporters.EventRecord(s, &s.Events[i]) {
			fields[k] = true
		}
	}
	e, err := engine.New(engine.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for field := range fields {
		first, _, _ := strings.Cut(field, ".")
		if metrics[field] || first == "queue" || first == "gmpulse" || first == "go" || first == "process" || first == "system" || first == "test" {
			continue
		}
		tried++
		for _, name := range []string{field, first, field + ".mine"} {
			if err := e.Gauge(name, "", "Help.", func() float64 { return 0 }); err == nil {
				t.Errorf("the engine accepts a gauge %q, although records have a field %q", name, field)
			}
		}
	}
	if tried < 6 {
		t.Errorf("only %d fields were tried: %v", tried, fields)
	}
}
