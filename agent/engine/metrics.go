// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

//nolint:gochecknoglobals // the metrics of this package, which are constant
var (
	// The cost and the health of the agent itself.
	ticksMetric        = &runtimeinfo.Metric{Name: "gmpulse.ticks", Unit: "{tick}", Kind: runtimeinfo.KindCounter, Subsystem: runtimeinfo.SubsystemAgent, Help: "Samples taken."}
	ticksMissedMetric  = &runtimeinfo.Metric{Name: "gmpulse.ticks_missed", Unit: "{tick}", Kind: runtimeinfo.KindCounter, Fault: true, Subsystem: runtimeinfo.SubsystemAgent, Help: "Ticks that were skipped because an earlier one took too long."}
	tickDurationMetric = &runtimeinfo.Metric{Name: "gmpulse.tick.duration", Unit: "s", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemAgent, Help: "Time that the previous tick took."}
	hostDurationMetric = &runtimeinfo.Metric{Name: "gmpulse.host.duration", Unit: "s", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemAgent, Detail: true, Help: "Time that the last host pass took; absent before the first."}
	// Distinguishes stale host values from constant ones.
	hostAgeMetric       = &runtimeinfo.Metric{Name: "gmpulse.host.age", Unit: "s", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemAgent, Detail: true, Help: "Age of the host values in this snapshot; absent before the first host pass."}
	hostFailuresMetric  = &runtimeinfo.Metric{Name: "gmpulse.host.failures", Unit: "{failure}", Kind: runtimeinfo.KindCounter, Fault: true, Subsystem: runtimeinfo.SubsystemAgent, Detail: true, Help: "Host sources that failed or panicked."}
	gaugeFailuresMetric = &runtimeinfo.Metric{Name: "gmpulse.callbacks.failed", Unit: "{failure}", Kind: runtimeinfo.KindCounter, Fault: true, Subsystem: runtimeinfo.SubsystemAgent, Detail: true, Help: "Calls of gauges of the application that panicked, took too long or returned no finite number."}
	// Shows that values are absent because an analyzer failed.
	analyzerFailuresMetric = &runtimeinfo.Metric{Name: "gmpulse.analyzer.failures", Unit: "{failure}", Kind: runtimeinfo.KindCounter, FixedLabels: true, Fault: true, Subsystem: runtimeinfo.SubsystemAgent, Detail: true, Help: "Calls of an analyzer that did not return in time or panicked, by reason.", Keys: []string{"analyzer", "reason"}}
	// accepted = delivered + dropped + pending holds at any time, for snapshots and for events.
	acceptedMetric  = &runtimeinfo.Metric{Name: "gmpulse.exporter.accepted", Unit: "{record}", Kind: runtimeinfo.KindCounter, FixedLabels: true, Subsystem: runtimeinfo.SubsystemAgent, Detail: true, Help: "Snapshots and events handed to an exporter.", Keys: []string{"exporter", "record"}}
	deliveredMetric = &runtimeinfo.Metric{Name: "gmpulse.exporter.delivered", Unit: "{record}", Kind: runtimeinfo.KindCounter, FixedLabels: true, Subsystem: runtimeinfo.SubsystemAgent, Detail: true, Help: "Snapshots and events that an exporter delivered.", Keys: []string{"exporter", "record"}}
	droppedMetric   = &runtimeinfo.Metric{Name: "gmpulse.exporter.dropped", Unit: "{record}", Kind: runtimeinfo.KindCounter, FixedLabels: true, Fault: true, Subsystem: runtimeinfo.SubsystemAgent, Help: "Snapshots and events that an exporter did not deliver, by reason.", Keys: []string{"exporter", "record", "reason"}}
	pendingMetric   = &runtimeinfo.Metric{Name: "gmpulse.exporter.pending", Unit: "{record}", Kind: runtimeinfo.KindUpDownCounter, FixedLabels: true, Subsystem: runtimeinfo.SubsystemAgent, Detail: true, Help: "Snapshots and events that wait for an exporter.", Keys: []string{"exporter", "record"}}
	// Shows at one backend that another one is down.
	failuresMetric = &runtimeinfo.Metric{Name: "gmpulse.exporter.failures", Unit: "{failure}", Kind: runtimeinfo.KindCounter, FixedLabels: true, Fault: true, Subsystem: runtimeinfo.SubsystemAgent, Detail: true, Help: "Calls of an exporter that failed, by reason.", Keys: []string{"exporter", "reason"}}
	upMetric       = &runtimeinfo.Metric{Name: "gmpulse.exporter.up", Unit: "", Kind: runtimeinfo.KindGauge, FixedLabels: true, Subsystem: runtimeinfo.SubsystemAgent, Help: "1 when the last call of an exporter succeeded, else 0; absent before the first.", Keys: []string{"exporter"}}
	// The one to alert on: exactly what the agent itself reports as an incident, so no anomaly that is only of interest.
	incidentSizeMetric = &runtimeinfo.Metric{Name: "gmpulse.incident.size", Unit: "", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemAgent, Help: "Size of an open incident when it was last reported: goroutines, response bodies, or the value of the signal in its unit; absent without incidents.", Keys: []string{"incident.kind", "incident.site", "incident.root_span", "incident.signal"}}
	// The length and size of an outage of the backend, and whether a restart would lose records.
	spoolSizeMetric      = &runtimeinfo.Metric{Name: "gmpulse.spool.size", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, FixedLabels: true, Subsystem: runtimeinfo.SubsystemAgent, Help: "Size of the records in the spool of an exporter.", Keys: []string{"exporter"}}
	spoolOldestAgeMetric = &runtimeinfo.Metric{Name: "gmpulse.spool.oldest_age", Unit: "s", Kind: runtimeinfo.KindGauge, FixedLabels: true, Subsystem: runtimeinfo.SubsystemAgent, Help: "Age of the oldest record in the spool of an exporter; 0 if the spool is empty.", Keys: []string{"exporter"}}
	spoolOnDiskMetric    = &runtimeinfo.Metric{Name: "gmpulse.spool.on_disk", Unit: "", Kind: runtimeinfo.KindGauge, FixedLabels: true, Subsystem: runtimeinfo.SubsystemAgent, Help: "1 if the spool of an exporter is on disk and survives the process, 0 if it is only in memory.", Keys: []string{"exporter"}}
	// Snapshots that a SIGKILL would lose. It stays above zero if fsync takes longer than a tick.
	spoolUnsavedMetric = &runtimeinfo.Metric{Name: "gmpulse.spool.unsaved", Unit: "{record}", Kind: runtimeinfo.KindUpDownCounter, FixedLabels: true, Subsystem: runtimeinfo.SubsystemAgent, Help: "Snapshots in the spool of an exporter that are not yet written to disk; a kill would lose them. 0 if the spool has no directory.", Keys: []string{"exporter"}}
)

// Metrics returns the metrics that every engine adds about its own work and its exporters.
func Metrics() []*runtimeinfo.Metric {
	return []*runtimeinfo.Metric{
		ticksMetric, ticksMissedMetric, tickDurationMetric, hostDurationMetric, hostAgeMetric, hostFailuresMetric, gaugeFailuresMetric, analyzerFailuresMetric,
		incidentSizeMetric, acceptedMetric, deliveredMetric, droppedMetric, pendingMetric, failuresMetric, upMetric,
		spoolSizeMetric, spoolOldestAgeMetric, spoolOnDiskMetric, spoolUnsavedMetric,
	}
}

// addOwn adds the metrics of the engine and its exporters to a snapshot.
func (e *Engine) addOwn(d *runtimeinfo.Draft, now time.Time, pass *hostPass) {
	d.Add(ticksMetric, float64(e.ticks.Load()))
	d.Add(ticksMissedMetric, float64(e.missed.Load()))
	d.Add(tickDurationMetric, time.Duration(e.tickDuration.Load()).Seconds())
	if pass != nil {
		d.Add(hostDurationMetric, pass.duration.Seconds())
		d.Add(hostAgeMetric, max(0, now.Sub(pass.at)).Seconds())
	}
	d.Add(hostFailuresMetric, float64(e.host.reader.Failures()))
	d.Add(gaugeFailuresMetric, float64(e.gauges.failures.Load()))
	for _, t := range e.analyzers {
		d.Add(analyzerFailuresMetric, float64(t.timeouts.Load()), t.name, "timeout")
		d.Add(analyzerFailuresMetric, float64(t.panics.Load()), t.name, "panic")
	}
	for _, x := range e.deliveries {
		s := x.Stats()
		addExporter(d, &s)
	}
}

// addExporter adds the statistics of one exporter.
func addExporter(d *runtimeinfo.Draft, s *exporters.Stats) {
	addAccount(d, s.Name, "snapshot", &s.Snapshots, snapshotDrops(s))
	addAccount(d, s.Name, "event", &s.Events, eventDrops(s))
	d.Add(failuresMetric, float64(s.Errors), s.Name, "error")
	d.Add(failuresMetric, float64(s.Timeouts), s.Name, "timeout")
	d.Add(failuresMetric, float64(s.Panics), s.Name, "panic")
	switch s.State {
	case exporters.StateOK:
		d.Add(upMetric, 1, s.Name)
	case exporters.StateFailing:
		d.Add(upMetric, 0, s.Name)
	case exporters.StateIdle, exporters.StateStopped: // unknown, so absent
	}
	if q := s.Spool; q != nil {
		onDisk := 0.0
		if q.OnDisk {
			onDisk = 1
		}
		d.Add(spoolSizeMetric, float64(q.Bytes), s.Name)
		d.Add(spoolOldestAgeMetric, q.OldestAge.Seconds(), s.Name)
		d.Add(spoolOnDiskMetric, onDisk, s.Name)
		d.Add(spoolUnsavedMetric, float64(q.Unsaved), s.Name)
	}
}

func addAccount(d *runtimeinfo.Draft, exporter, record string, a *exporters.Account, drops []exporters.DropReason) {
	d.Add(acceptedMetric, float64(a.Accepted), exporter, record)
	d.Add(deliveredMetric, float64(a.Delivered), exporter, record)
	d.Add(pendingMetric, float64(a.Pending), exporter, record)
	for _, r := range drops {
		d.Add(droppedMetric, float64(a.Dropped(r)), exporter, record, r.String())
	}
}

// snapshotDrops and eventDrops return the reasons for which an exporter can drop. Each has a
// series from the first snapshot, because rate() needs the value before the first drop. No
// snapshot has what was dropped at shutdown, which is after the last one.
func snapshotDrops(s *exporters.Stats) []exporters.DropReason {
	if s.Spool != nil {
		return []exporters.DropReason{exporters.DropReplaced, exporters.DropFailed, exporters.DropOverflow, exporters.DropRejected, exporters.DropExpired, exporters.DropUnreadable, exporters.DropDeadLetter}
	}
	return []exporters.DropReason{exporters.DropReplaced, exporters.DropFailed, exporters.DropRejected}
}

func eventDrops(s *exporters.Stats) []exporters.DropReason {
	if s.Spool != nil {
		return []exporters.DropReason{exporters.DropOverflow, exporters.DropRejected, exporters.DropExpired, exporters.DropUnreadable, exporters.DropDeadLetter}
	}
	return []exporters.DropReason{exporters.DropOverflow, exporters.DropRejected}
}
