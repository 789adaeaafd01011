// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	promapi "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// Labels of target_info, OpenTelemetry's convention for resource attributes in Prometheus.
const (
	serviceLabel = "service_name"
	versionLabel = "service_version"
)

// fleetQuery asks Prometheus about the instances of services.
type fleetQuery struct {
	api     promapi.API
	service string // only this service; empty: all
	now     time.Time
	within  time.Duration // how far back the first instance and the first leak are looked for
	top     int
	// warnings are the warnings in the answers of the server, for example that a store was not reached.
	warnings []string
	// recorded reports whether Prometheus has the recording rules by version. They replace
	// the queries that read every instance.
	recorded bool
}

// figure is a number by service and version.
type figure map[versionKey]float64

type versionKey struct{ service, version string }

// leakGroups selects the groups of goroutines that leak or are stuck.
const leakGroups = `gmpulse_goroutine_group_goroutines{verdict=~"leak.*|stuck"}`

// Expressions by service and version, and the recording rules in examples/deploy/prometheus
// that have the same values.
var (
	instances    = byVersion{"count", "target_info", "instances:count"}
	leaking      = byVersion{"count", "gmpulse_leak_suspects > 0", "leaking_instances:count"}
	leaked       = byVersion{"sum", "sum by (job, instance) (" + leakGroups + ")", "leaking_goroutines:sum"}
	goroutines   = byVersion{"sum", "gmpulse_goroutines", "goroutines:sum"}
	headroom     = byVersion{"sum", "gmpulse_capacity_headroom_per_second", "headroom_per_second:sum"}
	saturation   = byVersion{"max", "gmpulse_capacity_saturation_ratio", "saturation_ratio:max"}
	anomalies    = byVersion{"count", "max by (job, instance) (gmpulse_anomaly) == 1", "anomalous_instances:count"}
	allFigures   = []byVersion{instances, leaking, leaked, goroutines, headroom, saturation, anomalies}
	recordPrefix = "gmpulse:version_"
)

// byVersion is an aggregation over the instances of a version.
type byVersion struct{ operator, values, record string }

// query returns the PromQL expression.
func (q *fleetQuery) query(f byVersion) string {
	if q.recorded {
		return recordPrefix + f.record + q.selector()
	}
	by := fmt.Sprintf("%s by (%s, %s) ", f.operator, serviceLabel, versionLabel)
	if f.values == "target_info" {
		return by + "(" + q.info() + ")"
	}
	return by + "(" + q.joined(f.values) + ")"
}

// info returns one series of value 1 for each instance, labelled with its service and version.
func (q *fleetQuery) info() string {
	return fmt.Sprintf("max by (job, instance, %s, %s) (target_info%s)", serviceLabel, versionLabel, q.selector())
}

// joined adds service and version to the series of an expression.
func (q *fleetQuery) joined(values string) string {
	return fmt.Sprintf("(%s) * on (job, instance) group_left (%s, %s) %s", values, serviceLabel, versionLabel, q.info())
}

func (q *fleetQuery) selector() string {
	if q.service == "" {
		return ""
	}
	return fmt.Sprintf("{%s=%q}", serviceLabel, q.service)
}

// findRules sets recorded.
func (q *fleetQuery) findRules(ctx context.Context) error {
	q.recorded = true
	v, err := q.vector(ctx, "count("+q.query(instances)+")")
	q.recorded = err == nil && len(v) > 0
	return err
}

// figure returns the value of f for each version.
func (q *fleetQuery) figure(ctx context.Context, f byVersion) (figure, error) {
	v, err := q.vector(ctx, q.query(f))
	if err != nil {
		return nil, err
	}
	all := make(figure, len(v))
	for _, s := range v {
		if x := float64(s.Value); !math.IsNaN(x) && !math.IsInf(x, 0) {
			all[keyOf(s.Metric)] = x
		}
	}
	return all, nil
}

func keyOf(m model.Metric) versionKey {
	return versionKey{string(m[serviceLabel]), string(m[versionLabel])}
}

// Resolution of the times of first values. The first query has coarseSteps steps. If these are
// longer than scrapeInterval, up to maxRefined of the times that it finds are looked for again,
// within their step.
const (
	coarseSteps    = 240
	scrapeInterval = 15 * time.Second
	maxRefined     = 8
)

// first returns the time of the first value of f for each version, and whether the version
// had a value at the beginning of the range already.
func (q *fleetQuery) first(ctx context.Context, f byVersion) (map[versionKey]beginning, error) {
	step := max(q.within/coarseSteps, scrapeInterval)
	from := q.now.Add(-q.within)
	times, err := q.firstValues(ctx, f, promapi.Range{Start: from, End: q.now, Step: step})
	if err != nil {
		return nil, err
	}
	all := make(map[versionKey]beginning, len(times))
	var refined []time.Time
	for key, at := range times {
		all[key] = beginning{at, at.Sub(from) < step}
		if !all[key].before && !slices.ContainsFunc(refined, at.Equal) {
			refined = append(refined, at)
		}
	}
	if step == scrapeInterval {
		return all, nil
	}
	slices.SortFunc(refined, func(a, b time.Time) int { return b.Compare(a) }) // the newest matter most
	for _, at := range refined[:min(len(refined), maxRefined)] {
		finer, err := q.firstValues(ctx, f, promapi.Range{Start: at.Add(-step), End: at, Step: scrapeInterval})
		if err != nil {
			return nil, err
		}
		for key, exact := range finer {
			if times[key].Equal(at) {
				all[key] = beginning{exact, false}
			}
		}
	}
	return all, nil
}

// firstValues returns the time of the first value of f in a range, for each version.
func (q *fleetQuery) firstValues(ctx context.Context, f byVersion, r promapi.Range) (map[versionKey]time.Time, error) {
	value, warnings, _, err := q.api.QueryRange(ctx, q.query(f), r)
	if err != nil {
		return nil, explained(ctx, err)
	}
	q.warn(warnings)
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("answer to a range query: a %s, want a matrix", value.Type())
	}
	all := make(map[versionKey]time.Time, len(matrix))
	for _, s := range matrix {
		if len(s.Values) > 0 {
			all[keyOf(s.Metric)] = s.Values[0].Timestamp.Time()
		}
	}
	return all, nil
}

// beginning is the time of a first value. before reports whether the value is older.
type beginning struct {
	at     time.Time
	before bool
}

// sites returns the places of each version at which most goroutines leak.
func (q *fleetQuery) sites(ctx context.Context) ([]leakReport, error) {
	return q.worst(ctx, fmt.Sprintf("topk by (%s, %s) (3, sum by (%s, %s, incident_site, incident_root_span, verdict) (%s))",
		serviceLabel, versionLabel, serviceLabel, versionLabel, q.joined(leakGroups)))
}

// instances returns the instances in which most goroutines leak at one place.
func (q *fleetQuery) instances(ctx context.Context) ([]leakReport, error) {
	return q.worst(ctx, fmt.Sprintf("topk(%d, max by (%s, %s, instance, incident_site, incident_root_span, verdict) (%s))",
		q.top, serviceLabel, versionLabel, q.joined(leakGroups)))
}

func (q *fleetQuery) worst(ctx context.Context, query string) ([]leakReport, error) {
	v, err := q.vector(ctx, query)
	if err != nil {
		return nil, err
	}
	var all []leakReport
	for _, s := range v {
		if x := float64(s.Value); !math.IsNaN(x) && !math.IsInf(x, 0) {
			label := func(name model.LabelName) string { return string(s.Metric[name]) }
			all = append(all, leakReport{
				Service: label(serviceLabel), Version: label(versionLabel), Instance: label("instance"), Goroutines: x,
				Verdict: label("verdict"), Site: label("incident_site"), Root: label("incident_root_span"),
			})
		}
	}
	slices.SortFunc(all, func(a, b leakReport) int {
		return cmp.Or(cmp.Compare(b.Goroutines, a.Goroutines), cmp.Compare(a.Instance+a.Site, b.Instance+b.Site))
	})
	return all, nil
}

func (q *fleetQuery) vector(ctx context.Context, query string) (model.Vector, error) {
	value, warnings, _, err := q.api.Query(ctx, query, q.now)
	if err != nil {
		return nil, explained(ctx, err)
	}
	q.warn(warnings)
	v, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("answer to %q: a %s, want a vector", query, value.Type())
	}
	return v, nil
}

// warn adds warnings that are new.
func (q *fleetQuery) warn(warnings promapi.Warnings) {
	for _, w := range warnings {
		if !slices.Contains(q.warnings, w) {
			q.warnings = append(q.warnings, w)
		}
	}
}

// explained adds what the text of an error of the API lacks: its details, or why ctx ended.
func explained(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("prometheus: %w", cause)
	}
	if e := (*promapi.Error)(nil); errors.As(err, &e) && e.Detail != "" {
		return fmt.Errorf("prometheus: %s: %s", e.Msg, strings.TrimSpace(e.Detail))
	}
	return fmt.Errorf("prometheus: %w", err)
}
