// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// rangeKey is the attribute of a range, with the values min, mean and max.
const rangeKey = "gmpulse.range"

// rangePrefix begins the names of ranges. OpenTelemetry reserves go. and others.
const rangePrefix = "gmpulse.range."

// rangeName returns the name of the range of a metric: gmpulse.range.go.goroutine.count for
// go.goroutine.count, and gmpulse.range.threads for gmpulse.threads.
func rangeName(name string) string { return rangePrefix + strings.TrimPrefix(name, "gmpulse.") }

// addRange adds the range of p as three points of a gauge, which begin at the tick before
// the summary and end at its last tick.
func (c *conversion) addRange(p *runtimeinfo.Point) {
	f := c.familyOf(&runtimeinfo.Metric{
		Name: rangeName(p.Metric.Name), Unit: p.Metric.Unit, Kind: runtimeinfo.KindGauge,
		Help: "Least, mean and greatest value of " + p.Metric.Name + " at the ticks since the previous export.",
	})
	c.points += 3
	point := metricdata.DataPoint[float64]{Time: c.snapshot.Time}
	if since := c.snapshot.Since; since.Before(c.snapshot.Time) {
		point.StartTime = since
	}
	attrs := attributesOf(p)
	for _, v := range []struct {
		name  string
		value float64
	}{{"min", p.Range.Min}, {"mean", p.Range.Mean}, {"max", p.Range.Max}} {
		point.Value, point.Attributes = v.value, attribute.NewSet(append(attrs.ToSlice(), attribute.String(rangeKey, v.name))...)
		f.numbers = append(f.numbers, point)
	}
}
