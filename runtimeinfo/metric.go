// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "strings"

// Kind is the kind of a [Metric], named after the OpenTelemetry instrument.
type Kind uint8

// The kinds. Prometheus has no UpDownCounter; there it is a gauge.
const (
	// KindGauge is a value whose sum over instances is not meaningful.
	KindGauge Kind = iota + 1
	// KindUpDownCounter is a value that can be summed over instances.
	KindUpDownCounter
	// KindCounter is cumulative since the start of the process or host.
	KindCounter
	// KindHistogram is a cumulative distribution, see [Histogram].
	KindHistogram
)

// String returns the kind in lower case.
func (k Kind) String() string {
	names := [...]string{"unknown", KindGauge: "gauge", KindUpDownCounter: "updowncounter", KindCounter: "counter", KindHistogram: "histogram"}
	if int(k) >= len(names) {
		k = 0
	}
	return names[k]
}

// Subsystem is the part of the process or host that a [Metric] describes. Catalogues are ordered by
// subsystem.
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
	SubsystemProfiles  Subsystem = "profiles"
	SubsystemAgent     Subsystem = "agent"
	SubsystemUser      Subsystem = "user"
)

// Attr is an attribute. The key follows the naming rules of OpenTelemetry.
type Attr struct {
	Key, Value string
}

// Metric describes a metric: everything that an exporter needs to publish its values. Metrics with the
// same Name differ only in the value of Attr.
//
// A Metric must not be changed once it is part of a [Catalogue]. It is then safe for concurrent use.
type Metric struct {
	// Name is the name in OpenTelemetry's semantic conventions if there is one. Other names
	// start with "gmpulse.".
	Name string
	// Unit is the UCUM unit: "s", "By", "1" for a ratio, "{thing}" for a count.
	Unit string
	Kind Kind
	// Help is one sentence for readers of a dashboard.
	Help      string
	Subsystem Subsystem
	// Attr is an attribute of all values. An empty Key means that there is none.
	Attr Attr
	// Keys are the attribute keys of a metric with several values per snapshot, for example one
	// per exporter. [Point.Labels] has the attribute values in the same order.
	Keys []string
	// Headline reports whether the metric is part of a short summary, as of exporters.Log and
	// exporters.Record.
	Headline bool
	// Fault reports whether the metric counts losses or failures, so that a value other than 0 needs
	// attention. A short summary has such a value.
	Fault bool
	// FixedLabels reports whether the labels have few values, which are known when the program
	// starts, such as the names of exporters. A flat record then has a key for each series. Other
	// labels, such as names of spans and places in the code, may have thousands of values.
	FixedLabels bool
	// Detail reports whether exporters leave the metric out unless it is asked for, because it is
	// rarely looked at or another metric has the same information. See exporters.Selection.
	Detail bool
	// Ranged reports whether a summary of several ticks has the minimum, mean and maximum of the
	// metric, see [Point.Range]. It is for gauges and up-down counters whose peaks between two
	// deliveries matter. Counters and histograms are cumulative and lose nothing.
	Ranged bool
}

// Key returns Name, followed by a dot and the value of Attr if there is one. It identifies the metric
// in a catalogue, and is its key in flat records such as those for Fluentd. No Key in a catalogue is a
// dot-separated prefix of another, because Elasticsearch and other stores convert dots to objects.
func (m *Metric) Key() string {
	if m.Attr.Key == "" {
		return m.Name
	}
	return m.Name + "." + strings.ReplaceAll(m.Attr.Value, "-", "_")
}
