// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "strings"

// Kind tells how the values of a [Metric] behave over time. It names the
// OpenTelemetry instrument of the same name.
type Kind uint8

// The four kinds. Prometheus knows no UpDownCounter: there it is a gauge.
const (
	// KindGauge is a value that goes up and down and must not be summed over instances.
	KindGauge Kind = iota + 1
	// KindUpDownCounter goes up and down, and its sum over instances means something.
	KindUpDownCounter
	// KindCounter is cumulative since the process or the host started and only rises.
	KindCounter
	// KindHistogram is a cumulative distribution, see [Histogram].
	KindHistogram
)

// String returns the kind in lower case, as the metric reference prints it.
func (k Kind) String() string {
	switch k {
	case KindGauge:
		return "gauge"
	case KindUpDownCounter:
		return "updowncounter"
	case KindCounter:
		return "counter"
	case KindHistogram:
		return "histogram"
	default:
		return "unknown"
	}
}

// Subsystem is the part of the process or host that a [Metric] tells about.
// The catalogue is ordered by it.
type Subsystem string

// The subsystems, in catalogue order.
const (
	SubsystemScheduler Subsystem = "scheduler"
	SubsystemMemory    Subsystem = "memory"
	SubsystemGC        Subsystem = "gc"
	SubsystemCPU       Subsystem = "cpu"
	SubsystemProcess   Subsystem = "process"
	SubsystemContainer Subsystem = "container"
	SubsystemSystem    Subsystem = "system"
	SubsystemSpans     Subsystem = "spans"
	SubsystemLeaks     Subsystem = "leaks"
	SubsystemCapacity  Subsystem = "capacity"
	SubsystemBaselines Subsystem = "baselines"
	SubsystemAgent     Subsystem = "agent"
	SubsystemUser      Subsystem = "user"
)

// Attr is one attribute: a key by OpenTelemetry's rules for names, and its value.
type Attr struct {
	Key, Value string
}

// Metric is one row of the catalogue: everything an exporter needs to know to
// publish a value. Rows that share a Name differ in Attr and are one family.
//
// A Metric is immutable and may be used by any number of goroutines.
type Metric struct {
	// Name is the OpenTelemetry semantic-convention name where one exists, else
	// a name of ours that starts with "gmpulse.".
	Name string
	// Unit is the UCUM unit: "s", "By", "1" for a ratio, "{thing}" for a count.
	Unit string
	Kind Kind
	// Help is one sentence for people who read a dashboard.
	Help      string
	Subsystem Subsystem
	// Attr is the one attribute that every value of this row carries; its Key
	// is empty where there is none.
	Attr Attr
	// Keys are the attribute keys of a metric with several values a snapshot,
	// one per exporter, say. [Point.Labels] has their values in the same order.
	Keys []string
	// Headline marks the few metrics that a person wants in a one-line summary.
	Headline bool

	key string // cached Key
}

// NewMetric returns a copy of m that need not compose its Key again.
func NewMetric(m Metric) *Metric {
	m.key = m.makeKey()
	return &m
}

// Key is Name with the value of Attr, if any, as a last part: unique in the
// catalogue, and the key of the metric in flat records such as Fluentd's.
// No Key is a dot-separated prefix of another, so that stores which turn dots
// into objects, Elasticsearch among them, accept all of them together.
func (m *Metric) Key() string {
	if m.key != "" {
		return m.key
	}
	return m.makeKey()
}

func (m *Metric) makeKey() string {
	if m.Attr.Key == "" {
		return m.Name
	}
	return m.Name + "." + strings.ReplaceAll(m.Attr.Value, "-", "_")
}
