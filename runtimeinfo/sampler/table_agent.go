// SPDX-License-Identifier: Apache-2.0

package sampler

import "github.com/gmpulse/gmpulse/runtimeinfo"

// What gmpulse knows of the requests in flight, and of itself.

func spanRows() []row {
	return in(runtimeinfo.SubsystemSpans, []row{
		// Requests in flight by endpoint: which one do the goroutines belong to?
		{Metric{Name: "gmpulse.root_span.active", Unit: "{span}", Kind: runtimeinfo.KindUpDownCounter, Help: "Active local root spans by name.", Keys: []string{"span.name"}}, &source{series: activeSpans}},
		// An age that grows with the clock is a request that hangs.
		{Metric{Name: "gmpulse.root_span.oldest_age", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "Age of the oldest active local root span by name.", Keys: []string{"span.name"}}, &source{series: oldestSpans}},
		// The load that everything else is to be read against.
		{Metric{Name: "gmpulse.root_spans.started", Unit: "{span}", Kind: runtimeinfo.KindCounter, Help: "Local root spans started.", Headline: true}, spans(func(s *runtimeinfo.SpanActivity) uint64 { return s.Started })},
		{Metric{Name: "gmpulse.root_spans.ended", Unit: "{span}", Kind: runtimeinfo.KindCounter, Help: "Local root spans ended."}, spans(func(s *runtimeinfo.SpanActivity) uint64 { return s.Ended })},
		// Above zero the two metrics by name are too low.
		{Metric{Name: "gmpulse.root_spans.untracked", Unit: "{span}", Kind: runtimeinfo.KindCounter, Help: "Local root spans that found no room in the table of active spans."}, spans(func(s *runtimeinfo.SpanActivity) uint64 { return s.Untracked })},
		// A missing defer span.End(): the trace backend never tells of it.
		{Metric{Name: "gmpulse.root_spans.never_ended", Unit: "{span}", Kind: runtimeinfo.KindCounter, Help: "Local root spans given up after their time to live."}, spans(func(s *runtimeinfo.SpanActivity) uint64 { return s.NeverEnded })},
		// Per endpoint, what its time goes into; by duty cycle a sample of a thirtieth. Waits for a processor are the machine's fault, not the code's.
		{Metric{Name: "gmpulse.root_span.exact_time", Unit: "s", Kind: runtimeinfo.KindCounter, Help: "Time of local root spans in execution traces, by name and by what it was spent with: running, runnable, syscall or blocked.", Keys: []string{"span.name", "state"}}, &source{series: exactTimes}},
		// No exact data must not look like nothing slow.
		{Metric{Name: "gmpulse.execution_traces", Unit: "{recording}", Kind: runtimeinfo.KindCounter, Help: "Execution traces recorded, by how that ended.", Keys: []string{"outcome"}}, &source{series: recordings}},
		{Metric{Name: "gmpulse.slow_spans", Unit: "{span}", Kind: runtimeinfo.KindCounter, Help: "Slow root spans that were looked for in execution traces.", Keys: []string{"outcome"}}, &source{series: slowSpans}},
	})
}

func leakRows() []row {
	return in(runtimeinfo.SubsystemLeaks, []row{
		// What the goroutines are: the profile that people take by hand, as a timeline. Bounded to the largest groups.
		{Metric{Name: "gmpulse.goroutine_group.goroutines", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Help: "Goroutines of the largest groups, by what they wait for, where, and the function they began in.", Keys: []string{"wait", "site", "entry", "verdict"}}, &source{series: goroutineGroups}},
		// The one number to alert on.
		{Metric{Name: "gmpulse.leak.suspects", Unit: "{group}", Kind: runtimeinfo.KindGauge, Headline: true, Help: "Groups of goroutines that leak or are stuck."}, findings(func(f *runtimeinfo.Findings) float64 { return float64(f.Suspects) })},
		// Beyond doubt, where the runtime can prove it.
		{Metric{Name: "gmpulse.leaked_goroutines", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Help: "Goroutines that the garbage collector has proved leaked."}, findings(func(f *runtimeinfo.Findings) float64 { return float64(f.Leaked) })},
		// No survey, no verdict: silence must not look like health.
		{Metric{Name: "gmpulse.surveys", Unit: "{survey}", Kind: runtimeinfo.KindCounter, Help: "Surveys of all goroutines taken."}, findings(func(f *runtimeinfo.Findings) float64 { return float64(f.Surveys) })},
		{Metric{Name: "gmpulse.surveys_skipped", Unit: "{survey}", Kind: runtimeinfo.KindCounter, Help: "Surveys left out because they would have cost too much."}, findings(func(f *runtimeinfo.Findings) float64 { return float64(f.SurveysSkipped) })},
		// Recordings are the evidence of verdicts: where they fail, no group is reported as a leak without a proof.
		{Metric{Name: "gmpulse.goroutine_recordings", Unit: "{recording}", Kind: runtimeinfo.KindCounter, Help: "Recordings made to see whether the goroutines of suspicious groups run."}, findings(func(f *runtimeinfo.Findings) float64 { return float64(f.Recordings) })},
		{Metric{Name: "gmpulse.goroutine_recordings_failed", Unit: "{recording}", Kind: runtimeinfo.KindCounter, Help: "Recordings of goroutines that could not be made."}, findings(func(f *runtimeinfo.Findings) float64 { return float64(f.RecordingsFailed) })},
	})
}

func baselineRows() []row {
	return in(runtimeinfo.SubsystemBaselines, []row{
		// The one to alert on: it replaces a threshold on each of the signals.
		{Metric{Name: "gmpulse.anomaly", Unit: "", Kind: runtimeinfo.KindGauge, Help: "1 while a signal is beyond what its baseline expects, else 0.", Keys: signalKey()}, perBand(func(b *runtimeinfo.Band, to *emitter) {
			anomaly := 0.0
			if !b.Since.IsZero() {
				anomaly = 1
			}
			to.add(anomaly, b.Signal)
		})},
		// Counts what begins between two scrapes too.
		{Metric{Name: "gmpulse.anomalies", Unit: "{anomaly}", Kind: runtimeinfo.KindCounter, Help: "Anomalies of a signal that have begun.", Keys: signalKey()}, perBand(func(b *runtimeinfo.Band, to *emitter) { to.add(float64(b.Anomalies), b.Signal) })},
		// The band behind the curve on a dashboard, in the signal's own unit.
		{Metric{Name: "gmpulse.expected", Unit: "", Kind: runtimeinfo.KindGauge, Help: "What the baseline of a signal expects, in the unit of the signal; absent while too little is known.", Keys: []string{"signal", "bound"}}, perBand(expectedBounds)},
	})
}

func agentRows() []row {
	return in(runtimeinfo.SubsystemAgent, []row{
		// Users judge an agent by whether it reports its own cost.
		{Metric{Name: "gmpulse.ticks", Unit: "{tick}", Kind: runtimeinfo.KindCounter, Help: "Samples taken."}, self(func(s *runtimeinfo.Self) float64 { return float64(s.Ticks) })},
		{Metric{Name: "gmpulse.ticks_missed", Unit: "{tick}", Kind: runtimeinfo.KindCounter, Help: "Ticks left out because the one before took too long."}, self(func(s *runtimeinfo.Self) float64 { return float64(s.TicksMissed) })},
		{Metric{Name: "gmpulse.tick.duration", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "Time that the previous tick took."}, self(func(s *runtimeinfo.Self) float64 { return seconds(s.TickDuration) })},
		{Metric{Name: "gmpulse.host.duration", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "Time that the last host pass took; absent before the first."}, self(func(s *runtimeinfo.Self) float64 { return seconds(s.HostDuration) })},
		// Stale host values look like a calm machine.
		{Metric{Name: "gmpulse.host.age", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "Age of the host values in this snapshot; absent before the first host pass."}, self(func(s *runtimeinfo.Self) float64 { return seconds(s.HostAge) })},
		{Metric{Name: "gmpulse.host.failures", Unit: "{failure}", Kind: runtimeinfo.KindCounter, Help: "Host sources that failed or panicked."}, self(func(s *runtimeinfo.Self) float64 { return float64(s.HostFailures) })},
		// How often the runtime's numbers were impossible: golang wraps below zero in Go 1.26.
		{Metric{Name: "gmpulse.repairs", Unit: "{repair}", Kind: runtimeinfo.KindCounter, Help: "Impossible scheduler values that were repaired."}, computed(func(r *reading) float64 { return float64(r.repairs) })},
		{Metric{Name: "gmpulse.callbacks.failed", Unit: "{failure}", Kind: runtimeinfo.KindCounter, Help: "Calls of the application's own gauges that panicked, took too long or returned no finite number."}, self(func(s *runtimeinfo.Self) float64 { return float64(s.GaugeFailures) })},
		// accepted = delivered + dropped + pending, at every moment, for snapshots and for events.
		{Metric{Name: "gmpulse.exporter.accepted", Unit: "{record}", Kind: runtimeinfo.KindCounter, Help: "Snapshots and events handed to an exporter.", Keys: exporterRecord()}, perRecord(func(a *runtimeinfo.Account) uint64 { return a.Accepted })},
		{Metric{Name: "gmpulse.exporter.delivered", Unit: "{record}", Kind: runtimeinfo.KindCounter, Help: "Snapshots and events that an exporter delivered.", Keys: exporterRecord()}, perRecord(func(a *runtimeinfo.Account) uint64 { return a.Delivered })},
		{Metric{Name: "gmpulse.exporter.dropped", Unit: "{record}", Kind: runtimeinfo.KindCounter, Help: "Snapshots and events that an exporter did not deliver, by reason.", Keys: []string{"exporter", "record", "reason"}}, &source{series: exporterDrops}},
		{Metric{Name: "gmpulse.exporter.pending", Unit: "{record}", Kind: runtimeinfo.KindUpDownCounter, Help: "Snapshots and events that wait for an exporter.", Keys: exporterRecord()}, perRecord(func(a *runtimeinfo.Account) uint64 { return a.Pending })},
		// One dead backend must be visible at all the living ones.
		{Metric{Name: "gmpulse.exporter.failures", Unit: "{failure}", Kind: runtimeinfo.KindCounter, Help: "Calls of an exporter that failed, by reason.", Keys: []string{"exporter", "reason"}}, &source{series: exporterFailures}},
		{Metric{Name: "gmpulse.exporter.up", Unit: "", Kind: runtimeinfo.KindGauge, Help: "1 when the last call of an exporter succeeded, else 0; absent before the first.", Keys: []string{"exporter"}}, &source{series: exporterUp}},
		// Evidence that is missing when it is wanted: the disk, or the bound for an hour.
		{Metric{Name: "gmpulse.captures", Unit: "{bundle}", Kind: runtimeinfo.KindCounter, Help: "Bundles of evidence of incidents, by outcome: made, failed, skipped because of a bound, or refused because memory was short (also a profile within a bundle).", Keys: []string{"outcome"}}, &source{series: captures}},
		// An outage of the backend in hours and bytes, and whether a restart would lose it.
		{Metric{Name: "gmpulse.spool.size", Unit: "By", Kind: runtimeinfo.KindUpDownCounter, Help: "Bytes that wait in the spool of an exporter.", Keys: []string{"exporter"}}, spools(func(s *runtimeinfo.SpoolStats) float64 { return float64(s.Bytes) })},
		{Metric{Name: "gmpulse.spool.oldest_age", Unit: "s", Kind: runtimeinfo.KindGauge, Help: "How long the oldest record in the spool of an exporter has waited; 0 when none waits.", Keys: []string{"exporter"}}, spools(func(s *runtimeinfo.SpoolStats) float64 { return s.OldestAge.Seconds() })},
		{Metric{Name: "gmpulse.spool.on_disk", Unit: "", Kind: runtimeinfo.KindGauge, Help: "1 when what waits in the spool of an exporter survives the process, 0 when it is in memory only.", Keys: []string{"exporter"}}, spools(spoolOnDisk)},
		// What a SIGKILL would lose: it stays above zero where fsync is slower than the ticks.
		{Metric{Name: "gmpulse.spool.unsaved", Unit: "{record}", Kind: runtimeinfo.KindUpDownCounter, Help: "Snapshots in the spool of an exporter that are to be on disk and are in memory only yet: what a kill would lose. 0 without a directory.", Keys: []string{"exporter"}}, spools(func(s *runtimeinfo.SpoolStats) float64 { return float64(s.Unsaved) })},
	})
}
