// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

// What gmpulse knows of the requests in flight, and of itself.

func spanRows() []Metric {
	return in(SubsystemSpans, []Metric{
		// Requests in flight by endpoint: which one do the goroutines belong to?
		{Name: "gmpulse.root_span.active", Unit: "{span}", Kind: KindUpDownCounter, Help: "Active local root spans by name.", Keys: []string{"span.name"}, source: &source{series: activeSpans}},
		// An age that grows with the clock is a request that hangs.
		{Name: "gmpulse.root_span.oldest_age", Unit: "s", Kind: KindGauge, Help: "Age of the oldest active local root span by name.", Keys: []string{"span.name"}, source: &source{series: oldestSpans}},
		// The load that everything else is to be read against.
		{Name: "gmpulse.root_spans.started", Unit: "{span}", Kind: KindCounter, Help: "Local root spans started.", Headline: true, source: spans(func(s *SpanActivity) uint64 { return s.Started })},
		{Name: "gmpulse.root_spans.ended", Unit: "{span}", Kind: KindCounter, Help: "Local root spans ended.", source: spans(func(s *SpanActivity) uint64 { return s.Ended })},
		// Above zero the two metrics by name are too low.
		{Name: "gmpulse.root_spans.untracked", Unit: "{span}", Kind: KindCounter, Help: "Local root spans that found no room in the table of active spans.", source: spans(func(s *SpanActivity) uint64 { return s.Untracked })},
		// A missing defer span.End(): the trace backend never tells of it.
		{Name: "gmpulse.root_spans.never_ended", Unit: "{span}", Kind: KindCounter, Help: "Local root spans given up after their time to live.", source: spans(func(s *SpanActivity) uint64 { return s.NeverEnded })},
		// Per endpoint, what its time goes into; by duty cycle a sample of a thirtieth. Waits for a processor are the machine's fault, not the code's.
		{Name: "gmpulse.root_span.exact_time", Unit: "s", Kind: KindCounter, Help: "Time of local root spans in execution traces, by name and by what it was spent with: running, runnable, syscall or blocked.", Keys: []string{"span.name", "state"}, source: &source{series: exactTimes}},
		// No exact data must not look like nothing slow.
		{Name: "gmpulse.execution_traces", Unit: "{recording}", Kind: KindCounter, Help: "Execution traces recorded, by how that ended.", Keys: []string{"outcome"}, source: &source{series: recordings}},
		{Name: "gmpulse.slow_spans", Unit: "{span}", Kind: KindCounter, Help: "Slow root spans that were looked for in execution traces.", Keys: []string{"outcome"}, source: &source{series: slowSpans}},
	})
}

func leakRows() []Metric {
	return in(SubsystemLeaks, []Metric{
		// What the goroutines are: the profile that people take by hand, as a timeline. Bounded to the largest groups.
		{Name: "gmpulse.goroutine_group.goroutines", Unit: "{goroutine}", Kind: KindGauge, Help: "Goroutines of the largest groups, by what they wait for, where, and the function they began in.", Keys: []string{"wait", "site", "entry", "verdict"}, source: &source{series: goroutineGroups}},
		// The one number to alert on.
		{Name: "gmpulse.leak.suspects", Unit: "{group}", Kind: KindGauge, Headline: true, Help: "Groups of goroutines that leak or are stuck.", source: findings(func(f *Findings) float64 { return float64(f.Suspects) })},
		// Beyond doubt, where the runtime can prove it.
		{Name: "gmpulse.leaked_goroutines", Unit: "{goroutine}", Kind: KindGauge, Help: "Goroutines that the garbage collector has proved leaked.", source: findings(func(f *Findings) float64 { return float64(f.Leaked) })},
		// No survey, no verdict: silence must not look like health.
		{Name: "gmpulse.surveys", Unit: "{survey}", Kind: KindCounter, Help: "Surveys of all goroutines taken.", source: findings(func(f *Findings) float64 { return float64(f.Surveys) })},
		{Name: "gmpulse.surveys_skipped", Unit: "{survey}", Kind: KindCounter, Help: "Surveys left out because they would have cost too much.", source: findings(func(f *Findings) float64 { return float64(f.SurveysSkipped) })},
		// Recordings are the evidence of verdicts: where they fail, no group is reported as a leak without a proof.
		{Name: "gmpulse.goroutine_recordings", Unit: "{recording}", Kind: KindCounter, Help: "Recordings made to see whether the goroutines of suspicious groups run.", source: findings(func(f *Findings) float64 { return float64(f.Recordings) })},
		{Name: "gmpulse.goroutine_recordings_failed", Unit: "{recording}", Kind: KindCounter, Help: "Recordings of goroutines that could not be made.", source: findings(func(f *Findings) float64 { return float64(f.RecordingsFailed) })},
	})
}

func baselineRows() []Metric {
	return in(SubsystemBaselines, []Metric{
		// The one to alert on: it replaces a threshold on each of the signals.
		{Name: "gmpulse.anomaly", Unit: "", Kind: KindGauge, Help: "1 while a signal is beyond what its baseline expects, else 0.", Keys: signalKey(), source: perBand(func(b *Band, to *emitter) {
			anomaly := 0.0
			if !b.Since.IsZero() {
				anomaly = 1
			}
			to.add(anomaly, b.Signal)
		})},
		// Counts what begins between two scrapes too.
		{Name: "gmpulse.anomalies", Unit: "{anomaly}", Kind: KindCounter, Help: "Anomalies of a signal that have begun.", Keys: signalKey(), source: perBand(func(b *Band, to *emitter) { to.add(float64(b.Anomalies), b.Signal) })},
		// The band behind the curve on a dashboard, in the signal's own unit.
		{Name: "gmpulse.expected", Unit: "", Kind: KindGauge, Help: "What the baseline of a signal expects, in the unit of the signal; absent while too little is known.", Keys: []string{"signal", "bound"}, source: perBand(expectedBounds)},
	})
}

func agentRows() []Metric {
	return in(SubsystemAgent, []Metric{
		// Users judge an agent by whether it reports its own cost.
		{Name: "gmpulse.ticks", Unit: "{tick}", Kind: KindCounter, Help: "Samples taken.", source: self(func(s *Self) float64 { return float64(s.Ticks) })},
		{Name: "gmpulse.ticks_missed", Unit: "{tick}", Kind: KindCounter, Help: "Ticks left out because the one before took too long.", source: self(func(s *Self) float64 { return float64(s.TicksMissed) })},
		{Name: "gmpulse.tick.duration", Unit: "s", Kind: KindGauge, Help: "Time that the previous tick took.", source: self(func(s *Self) float64 { return seconds(s.TickDuration) })},
		{Name: "gmpulse.host.duration", Unit: "s", Kind: KindGauge, Help: "Time that the last host pass took; absent before the first.", source: self(func(s *Self) float64 { return seconds(s.HostDuration) })},
		// Stale host values look like a calm machine.
		{Name: "gmpulse.host.age", Unit: "s", Kind: KindGauge, Help: "Age of the host values in this snapshot; absent before the first host pass.", source: self(func(s *Self) float64 { return seconds(s.HostAge) })},
		{Name: "gmpulse.host.failures", Unit: "{failure}", Kind: KindCounter, Help: "Host sources that failed or panicked.", source: self(func(s *Self) float64 { return float64(s.HostFailures) })},
		// How often the runtime's numbers were impossible: golang wraps below zero in Go 1.26.
		{Name: "gmpulse.repairs", Unit: "{repair}", Kind: KindCounter, Help: "Impossible scheduler values that were repaired.", source: computed(func(r *reading) float64 { return float64(r.repairs) })},
		{Name: "gmpulse.callbacks.failed", Unit: "{failure}", Kind: KindCounter, Help: "Calls of the application's own gauges that panicked, took too long or returned no finite number.", source: self(func(s *Self) float64 { return float64(s.GaugeFailures) })},
		// accepted = delivered + dropped + pending, at every moment, for snapshots and for events.
		{Name: "gmpulse.exporter.accepted", Unit: "{record}", Kind: KindCounter, Help: "Snapshots and events handed to an exporter.", Keys: exporterRecord(), source: perRecord(func(a *Account) uint64 { return a.Accepted })},
		{Name: "gmpulse.exporter.delivered", Unit: "{record}", Kind: KindCounter, Help: "Snapshots and events that an exporter delivered.", Keys: exporterRecord(), source: perRecord(func(a *Account) uint64 { return a.Delivered })},
		{Name: "gmpulse.exporter.dropped", Unit: "{record}", Kind: KindCounter, Help: "Snapshots and events that an exporter did not deliver, by reason.", Keys: []string{"exporter", "record", "reason"}, source: &source{series: exporterDrops}},
		{Name: "gmpulse.exporter.pending", Unit: "{record}", Kind: KindUpDownCounter, Help: "Snapshots and events that wait for an exporter.", Keys: exporterRecord(), source: perRecord(func(a *Account) uint64 { return a.Pending })},
		// One dead backend must be visible at all the living ones.
		{Name: "gmpulse.exporter.failures", Unit: "{failure}", Kind: KindCounter, Help: "Calls of an exporter that failed, by reason.", Keys: []string{"exporter", "reason"}, source: &source{series: exporterFailures}},
		{Name: "gmpulse.exporter.up", Unit: "", Kind: KindGauge, Help: "1 when the last call of an exporter succeeded, else 0; absent before the first.", Keys: []string{"exporter"}, source: &source{series: exporterUp}},
		// Evidence that is missing when it is wanted: the disk, or the bound for an hour.
		{Name: "gmpulse.captures", Unit: "{bundle}", Kind: KindCounter, Help: "Bundles of evidence of incidents, by outcome: made, failed, skipped because of a bound, or refused because memory was short (also a profile within a bundle).", Keys: []string{"outcome"}, source: &source{series: captures}},
		// An outage of the backend in hours and bytes, and whether a restart would lose it.
		{Name: "gmpulse.spool.size", Unit: "By", Kind: KindUpDownCounter, Help: "Bytes that wait in the spool of an exporter.", Keys: []string{"exporter"}, source: spools(func(s *SpoolStats) float64 { return float64(s.Bytes) })},
		{Name: "gmpulse.spool.oldest_age", Unit: "s", Kind: KindGauge, Help: "How long the oldest record in the spool of an exporter has waited; 0 when none waits.", Keys: []string{"exporter"}, source: spools(func(s *SpoolStats) float64 { return s.OldestAge.Seconds() })},
		{Name: "gmpulse.spool.on_disk", Unit: "", Kind: KindGauge, Help: "1 when what waits in the spool of an exporter survives the process, 0 when it is in memory only.", Keys: []string{"exporter"}, source: spools(spoolOnDisk)},
		// What a SIGKILL would lose: it stays above zero where fsync is slower than the ticks.
		{Name: "gmpulse.spool.unsaved", Unit: "{record}", Kind: KindUpDownCounter, Help: "Snapshots in the spool of an exporter that are to be on disk and are in memory only yet: what a kill would lose. 0 without a directory.", Keys: []string{"exporter"}, source: spools(func(s *SpoolStats) float64 { return float64(s.Unsaved) })},
	})
}
