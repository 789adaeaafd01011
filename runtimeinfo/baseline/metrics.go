// SPDX-License-Identifier: Apache-2.0

package baseline

import "github.com/gmpulse/gmpulse/runtimeinfo"

//nolint:gochecknoglobals // the metrics of this package, which are constant
var (
	// The one to alert on: it replaces a threshold on each of the signals.
	anomalyMetric = &runtimeinfo.Metric{Name: "gmpulse.anomaly", Unit: "", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemBaselines, Help: "1 while a signal is beyond what its baseline expects, else 0.", Keys: []string{"signal"}}
	// Counts anomalies that begin and end between two scrapes.
	anomaliesMetric = &runtimeinfo.Metric{Name: "gmpulse.anomalies", Unit: "{anomaly}", Kind: runtimeinfo.KindCounter, Subsystem: runtimeinfo.SubsystemBaselines, Detail: true, Help: "Anomalies of a signal that have begun.", Keys: []string{"signal"}}
	// The band behind the curve on a dashboard, in the unit of the signal.
	expectedMetric = &runtimeinfo.Metric{Name: "gmpulse.expected", Unit: "", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemBaselines, Detail: true, Help: "What the baseline of a signal expects, in the unit of the signal; absent while too little is known.", Keys: []string{"signal", "bound"}}
)

// Metrics returns the metrics that Analyze adds.
func (*Watch) Metrics() []*runtimeinfo.Metric {
	return []*runtimeinfo.Metric{anomalyMetric, anomaliesMetric, expectedMetric}
}

// Analyze compares a snapshot with the baselines and adds one band for each signal that
// has a value, its metrics, and events: "baseline.anomaly.opened" when signals leave
// their bands, ".closed" when all are back, "baseline.new_normal" when one has stayed at
// a new level for 15 minutes, "baseline.incident.closed" when a reported anomaly is over.
func (w *Watch) Analyze(d *runtimeinfo.Draft) {
	bands, events := w.Judge(d.Snapshot())
	d.Bands = append(d.Bands, bands...)
	d.Events = append(d.Events, events...)
	for i := range bands {
		b := &bands[i]
		anomaly := 0.0
		if !b.Since.IsZero() {
			anomaly = 1
		}
		d.Add(anomalyMetric, anomaly, b.Signal)
		d.Add(anomaliesMetric, float64(b.Anomalies), b.Signal)
		if !b.Learning {
			d.Add(expectedMetric, b.Lower, b.Signal, "lower")
			d.Add(expectedMetric, b.Expected, b.Signal, "expected")
			d.Add(expectedMetric, b.Upper, b.Signal, "upper")
		}
	}
}
