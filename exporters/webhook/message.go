// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/incidenttext"
	"github.com/gmpulse/gmpulse/internal/units"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// maxDescribed is how many events a message describes.
	maxDescribed = 5
	// maxText is the longest text in bytes. Feishu and DingTalk accept requests of 20 KB.
	maxText = 8 << 10
	// maxWeCom is the longest text that WeCom accepts, in bytes.
	maxWeCom = 2048
	// oldAge is the age from which on a message has the time of an event.
	oldAge = time.Minute
)

// json returns the events as JSON: an object with the address of the page and a list of records of
// [exporters.EventRecord], each with its time and its incident.
func (e *Exporter) json(s *runtimeinfo.Snapshot, events []*runtimeinfo.Event) ([]byte, error) {
	list := make([]map[string]any, len(events))
	for i, x := range events {
		record := maps.Collect(exporters.EventRecord(s, x))
		record["time"] = x.Time.UTC().Format(time.RFC3339Nano)
		if x.Incident != nil {
			maps.DeleteFunc(record, func(key string, _ any) bool { return strings.HasPrefix(key, "incident.") })
			record["incident"] = incidentFields(x.Incident)
		}
		list[i] = record
	}
	return encode(map[string]any{"page": e.config.PageURL(), "events": list})
}

func incidentFields(i *runtimeinfo.Incident) map[string]any {
	m := map[string]any{"id": i.ID, "phase": string(i.Phase), "since": i.Since.UTC().Format(time.RFC3339Nano), "size": i.Size, "unit": i.Unit}
	for k, v := range map[string]string{"kind": i.Kind, "site": i.Site, "signal": i.Signal, "root_span": i.Root, "evidence": i.Evidence, "hint": i.Hint} {
		if v != "" {
			m[k] = v
		}
	}
	return m
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// words are the fixed texts of a message in one language.
type words struct {
	phases                           map[runtimeinfo.IncidentPhase]string
	time, service                    string
	evidence, hint, page             string
	more                             string
	title                            func(*runtimeinfo.Incident) string
	translateEvidence, translateHint func(string) string
}

func (e *Exporter) words() *words {
	same := func(s string) string { return s }
	if e.config.Language == "zh" {
		return &words{
			phases: map[runtimeinfo.IncidentPhase]string{runtimeinfo.IncidentOpened: "告警", runtimeinfo.IncidentWorsened: "恶化", runtimeinfo.IncidentClosed: "关闭"},
			time:   "时间：", service: "服务：", evidence: "依据：", hint: "排查方向：", page: "页面：", more: "另有 %d 个事件",
			title: incidenttext.ChineseTitle, translateEvidence: incidenttext.ChineseEvidence, translateHint: incidenttext.ChineseHint,
		}
	}
	return &words{
		phases: map[runtimeinfo.IncidentPhase]string{runtimeinfo.IncidentOpened: "opened", runtimeinfo.IncidentWorsened: "worsened", runtimeinfo.IncidentClosed: "closed"},
		time:   "time: ", service: "service: ", evidence: "evidence: ", hint: "hint: ", page: "page: ", more: "and %d more events",
		title: incidenttext.Title, translateEvidence: same, translateHint: same,
	}
}

// text returns the message about some events as plain text.
func (e *Exporter) text(s *runtimeinfo.Snapshot, events []*runtimeinfo.Event, most int) string {
	w := e.words()
	var lines []string
	for _, x := range events[:min(len(events), maxDescribed)] {
		lines = append(lines, w.describe(x)...)
	}
	if n := len(events) - maxDescribed; n > 0 {
		lines = append(lines, fmt.Sprintf(w.more, n))
	}
	lines = append(lines, w.service+sender(s.Resource))
	if p := e.config.PageURL(); p != "" {
		lines = append(lines, w.page+p)
	}
	return units.Shorten(strings.ToValidUTF8(strings.Join(lines, "\n"), "\uFFFD"), most-len("…"))
}

// describe returns the lines about one event.
func (w *words) describe(x *runtimeinfo.Event) []string {
	i := x.Incident
	first := "[" + x.Severity.String() + "] " + cmp.Or(x.Message, x.Name)
	if i != nil {
		first = "[gmpulse " + cmp.Or(w.phases[i.Phase], string(i.Phase)) + "] " + w.title(i)
	}
	lines := []string{first}
	if time.Since(x.Time) > oldAge {
		lines = append(lines, w.time+x.Time.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	if i == nil {
		return lines
	}
	if i.Evidence != "" {
		lines = append(lines, w.evidence+w.translateEvidence(i.Evidence))
	}
	if i.Hint != "" && i.Phase != runtimeinfo.IncidentClosed {
		lines = append(lines, w.hint+w.translateHint(i.Hint))
	}
	return lines
}

// sender returns the name, version and instance of the service.
func sender(resource []runtimeinfo.Attr) string {
	of := map[string]string{}
	for _, a := range resource {
		of[a.Key] = a.Value
	}
	text := strings.TrimSpace(of["service.name"] + " " + of["service.version"])
	if instance := cmp.Or(of["k8s.pod.name"], of["service.instance.id"]); instance != "" {
		text += " (" + instance + ")"
	}
	return text
}

// mrkdwn escapes the characters that Slack treats as markup, so that no text mentions anybody.
func mrkdwn(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// plain replaces the character with which Feishu's tags begin, such as the one that mentions everybody.
func plain(s string) string { return strings.ReplaceAll(s, "<", "＜") }
