// SPDX-License-Identifier: Apache-2.0

package alertmanager

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/incidenttext"
	"github.com/gmpulse/gmpulse/internal/units"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// alert is one alert of the API, see postableAlert in Alertmanager's api/v2/openapi.yaml.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// The bytes after which values of labels and annotations are cut. Labels are stored and shown often.
const (
	maxLabel      = 512
	maxAnnotation = 4096
)

// runbook is where the kinds of incidents are described.
const runbook = "https://github.com/gmpulse/gmpulse/blob/main/docs/alerts.md"

// alertName returns the name of the alert on a kind of incident.
func alertName(kind string) string {
	switch kind {
	case "leak":
		return "GmpulseGoroutineLeak"
	case "stuck":
		return "GmpulseRequestsStuck"
	case "unclosed":
		return "GmpulseResponsesUnclosed"
	case "ceiling":
		return "GmpulseCeilingReached"
	default:
		return "GmpulseAnomaly"
	}
}

// labels returns the labels that identify the alert on an incident.
func (e *Exporter) labels(resource []runtimeinfo.Attr, event *runtimeinfo.Event) map[string]string {
	of := map[string]string{}
	for _, a := range resource {
		of[a.Key] = a.Value
	}
	i := event.Incident
	severity := "warning"
	if event.Severity >= slog.LevelError {
		severity = "critical"
	}
	all := map[string]string{
		"alertname": alertName(i.Kind),
		"service":   of["service.name"],
		"instance":  cmp.Or(of["k8s.pod.name"], of["service.instance.id"]),
		"namespace": cmp.Or(of["k8s.namespace.name"], of["service.namespace"]),
		"severity":  severity,
		"kind":      i.Kind,
		"site":      i.Site,
		"signal":    i.Signal,
		"root_span": i.Root,
	}
	maps.Copy(all, e.config.Labels)
	return texts(all, maxLabel)
}

// annotations returns what describes an incident.
func (e *Exporter) annotations(resource []runtimeinfo.Attr, event *runtimeinfo.Event) map[string]string {
	i := event.Incident
	all := map[string]string{
		"summary":     incidenttext.Title(i),
		"description": event.Message,
		"evidence":    i.Evidence,
		"hint":        i.Hint,
		"incident":    i.ID,
		"page":        e.config.PageURL(),
		"runbook_url": runbook,
	}
	if len(event.Spans) > 0 {
		all["trace_id"] = event.Spans[0].TraceIDString()
	}
	for _, a := range resource {
		if a.Key == "service.version" || a.Key == "host.name" {
			all[strings.ReplaceAll(a.Key, ".", "_")] = a.Value
		}
	}
	return texts(all, maxAnnotation)
}

// texts removes empty values, which Alertmanager ignores, and makes the others valid.
func texts(all map[string]string, most int) map[string]string {
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })
	for k, v := range all {
		all[k] = units.Shorten(strings.ToValidUTF8(v, "\uFFFD"), most)
	}
	return all
}

// identity returns a string that is equal for equal labels.
func identity(labels map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(k + "\x00" + labels[k] + "\x00")
	}
	return b.String()
}
