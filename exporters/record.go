// SPDX-License-Identifier: Apache-2.0

package exporters

import (
	"iter"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/sentence"
	"github.com/gmpulse/gmpulse/internal/units"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Record returns a snapshot as one flat record, for exporters that write to logs. It is a summary
// for people and for charts, 2 to 3 KB in JSON; [FullRecord] has every value.
//
// A value is a bool, string, uint64, finite float64, a map of these, or a slice of strings or maps.
// Strings are valid UTF-8. Numbers that are not finite are omitted, because receivers such as
// Fluentd reject a record that has them. No key is a dot-separated prefix of another, because
// Elasticsearch rejects such records, and the type of the value of a key never changes. The keys
// are few: none contains the name of a span, a place in the code or other text of the application,
// except the names of its gauges.
//
//   - id: unique to this snapshot: service.instance.id, the start time of the agent, and seq.
//     A store that uses it as the document id (_id) removes duplicates
//   - seq, ticks and interval: the number of ticks that the record summarizes, and the seconds
//   - message: the state of the process in one sentence
//   - resource.* for each resource attribute, except those that only repeat others: container.id,
//     k8s.pod.uid, process.pid, and a host.name that is the name of the pod
//   - span.active and span.oldest_age: the number of active spans, and the age of the oldest in
//     seconds
//   - the metrics with [runtimeinfo.Metric.Headline], and those with [runtimeinfo.Metric.Fault]
//     whose value is not 0, under [runtimeinfo.Metric.Key]. KEY_mean and KEY_max are of the
//     range of a metric in a summary of several ticks, unless its value was the same at all of them.
//     Counts of what exists (up-down counters), maxima and percentiles have KEY_max only, a headroom
//     KEY_min only, and a gauge of the application KEY_min too
//   - KEY.LABEL, or KEY.LABEL.LABEL, for a metric with [runtimeinfo.Metric.FixedLabels]
//   - a list of at most three texts, the largest values first, for a metric with other labels: "3 GET /orders"
//   - incidents and unusual: lists of texts on the open incidents, and on the signals outside the
//     range that their baseline expects
//   - spans: the oldest active spans, at most three
//
// The record does not have the events, see [EventRecord].
func Record(s *runtimeinfo.Snapshot) iter.Seq2[string, any] { return record(s, compact()) }

// FullRecord is like [Record], but it has the values of all metrics with their minimum, mean and maximum, and
// all resource attributes, 16 KB for a small service in JSON.
// A histogram has KEY.count and KEY.sum. The lists have up to 64 elements. The list root_spans has a map for
// each name of root spans that ended: name, ended, errors (those with the status Error), seconds (the sum of
// their durations), and durations, the histogram as text: "1280:7 1536:2" are 7 spans that took up to 1280 µs
// and 2 that took longer, but at most 1536 µs. These numbers are cumulative;
// seconds and durations may be five seconds old.
func FullRecord(s *runtimeinfo.Snapshot) iter.Seq2[string, any] { return record(s, full()) }

// form is the extent of a record.
type form struct {
	all      bool // every metric
	maxTexts int  // length of a list
	maxSpans int
}

func compact() form { return form{maxTexts: 3, maxSpans: 3} }
func full() form    { return form{all: true, maxTexts: 64, maxSpans: runtimeinfo.MaxSpans} }

const (
	maxSeries  = 128 // maximum number of keys of one metric with labels
	maxKeyPart = 64  // bytes of a label in a key
	maxLabel   = 200 // bytes of a label in a text; Lucene ignores texts above 1024 in the kit's template
)

func record(s *runtimeinfo.Snapshot, f form) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		w := fields{yield: yield, form: f, snapshot: s}
		w.text("id", string(strconv.AppendUint(append(runID(s), '/'), s.Seq, 10)))
		w.put("seq", s.Seq)
		w.put("ticks", float64(max(1, s.Ticks)))
		if !s.Since.IsZero() {
			w.put("interval", max(0, s.Time.Sub(s.Since).Round(time.Millisecond).Seconds()))
		}
		if m := sentence.Of(s); m != "" {
			w.text("message", m)
		}
		w.resource(s)
		w.activity(s)
		w.points(s)
		w.incidents(s)
		w.unusual(s)
		w.spans(s.Spans[:min(len(s.Spans), f.maxSpans)], s.Time)
		w.rootSpans(s.SpanGroups)
	}
}

// fields writes the fields of a record.
type fields struct {
	form
	snapshot *runtimeinfo.Snapshot
	yield    func(string, any) bool
	done     bool // the caller wants no more fields
}

func (w *fields) put(key string, v any) { w.done = w.done || !w.yield(key, v) }

func (w *fields) text(key, v string) { w.put(key, valid(v)) }

// list puts a list of texts, unless it is empty.
func (w *fields) list(key string, texts []string) {
	if len(texts) == 0 {
		return
	}
	list := make([]any, min(len(texts), w.maxTexts))
	for i := range list {
		list[i] = valid(texts[i])
	}
	w.put(key, list)
}

// resource puts the resource attributes.
func (w *fields) resource(s *runtimeinfo.Snapshot) {
	for _, a := range s.Resource {
		if w.wantsAttr(a) {
			w.text("resource."+valid(a.Key), a.Value)
		}
	}
}

// wantsAttr reports whether the record has a resource attribute. A compact record lacks those that
// identify what other attributes identify too: at one record every ten seconds they are a tenth of the bytes.
func (w *fields) wantsAttr(a runtimeinfo.Attr) bool {
	if w.all {
		return true
	}
	switch a.Key {
	case "container.id", "k8s.pod.uid", "process.pid":
		return false
	case "host.name":
		return a.Value != resourceValue(w.snapshot, "k8s.pod.name")
	default:
		return true
	}
}

// resourceValue returns the value of a resource attribute, or "".
func resourceValue(s *runtimeinfo.Snapshot, key string) string {
	for _, a := range s.Resource {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// activity puts the number of active spans and the age of the oldest.
func (w *fields) activity(s *runtimeinfo.Snapshot) {
	if s.SpanGroups == nil && len(s.Spans) == 0 {
		return // there may be no source of spans
	}
	w.put("span.active", float64(sentence.Active(s)))
	if len(s.Spans) > 0 {
		w.put("span.oldest_age", w.number(age(&s.Spans[0], s.Time)))
	}
}

// points puts the values of the metrics.
func (w *fields) points(s *runtimeinfo.Snapshot) {
	var series []runtimeinfo.Point // the points so far of a metric with labels
	for p := range s.Points() {
		if w.done {
			return
		}
		if len(series) > 0 && series[0].Metric != p.Metric {
			w.series(series)
			series = series[:0]
		}
		if p.Metric.Keys != nil {
			series = append(series, p)
			continue
		}
		w.value(p.Metric.Key(), &p)
	}
	if len(series) > 0 {
		w.series(series)
	}
}

// wants reports whether the record has the value of a point.
func (w *fields) wants(p *runtimeinfo.Point) bool {
	m := p.Metric
	if p.Histogram == nil && !finite(p.Number) {
		return false
	}
	return w.all || m.Headline || m.Fault && p.Number != 0
}

// value puts one value, or two for a histogram.
func (w *fields) value(key string, p *runtimeinfo.Point) {
	if !w.wants(p) {
		return
	}
	if h := p.Histogram; h != nil {
		w.put(key+".count", h.Count())
		if finite(h.Sum) {
			w.put(key+".sum", h.Sum)
		}
		return
	}
	w.put(key, w.number(p.Number))
	if r := p.Range; r != nil && (w.all || r.Min != r.Max) {
		w.extremes(key, p.Metric, r)
	}
}

// extremes puts the values of a range. A compact record has those that tell something: the mean of a
// gauge such as the CPU in use, which differs from tick to tick, but not of what is a maximum already or
// changes little, such as the number of threads; the minimum only of what may run out.
func (w *fields) extremes(key string, m *runtimeinfo.Metric, r *runtimeinfo.Range) {
	every := w.all || m.Subsystem == runtimeinfo.SubsystemUser // the application knows which of its values matter
	peak := strings.HasSuffix(m.Name, ".max") || strings.HasSuffix(m.Name, ".p99")
	room := strings.HasSuffix(m.Name, ".headroom")
	if every || room {
		w.extreme(key+"_min", r.Min)
	}
	if every || m.Kind == runtimeinfo.KindGauge && !peak && !room {
		w.extreme(key+"_mean", r.Mean)
	}
	if every || !room {
		w.extreme(key+"_max", r.Max)
	}
}

// extreme puts a value of a range, unless there is a metric with its key.
func (w *fields) extreme(key string, v float64) {
	if _, taken := w.snapshot.Number(key); !taken && finite(v) {
		w.put(key, w.number(v))
	}
}

// number rounds fractions to six digits in a compact record. It saves a tenth of the JSON.
func (w *fields) number(v float64) float64 {
	if w.all || v == math.Trunc(v) {
		return v
	}
	if math.Abs(v) >= 1e6 {
		return math.Round(v)
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64) // it never fails
	return rounded
}

// series puts the points of one metric with labels.
func (w *fields) series(points []runtimeinfo.Point) {
	m := points[0].Metric
	if !m.FixedLabels {
		w.list(m.Key(), w.describe(points))
		return
	}
	keys := make(map[string]bool, len(points))
	for i := range points {
		p := &points[i]
		parts := []string{m.Key()}
		for _, label := range p.Labels {
			parts = append(parts, keyPart(label))
		}
		key := strings.Join(parts, ".")
		if keys[key] || len(keys) == maxSeries || !w.wants(p) {
			continue
		}
		keys[key] = true
		w.value(key, p)
	}
}

// keyPart returns a label as a part of a key.
func keyPart(label string) string {
	if label == "" {
		return "_"
	}
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, label[:min(len(label), maxKeyPart)])
}

// describe returns a text for each point that the record has, largest value first.
func (w *fields) describe(points []runtimeinfo.Point) []string {
	var wanted []runtimeinfo.Point
	for i := range points {
		if p := &points[i]; w.wants(p) && (w.all || p.Number != 0) {
			wanted = append(wanted, *p)
		}
	}
	sort.SliceStable(wanted, func(i, j int) bool { return wanted[i].Number > wanted[j].Number })
	var texts []string
	for i := range wanted[:min(len(wanted), w.maxTexts)] {
		texts = append(texts, w.describePoint(&wanted[i]))
	}
	return texts
}

// describePoint returns the value and the labels: 812 chan receive, main.handle (main.go:42).
func (w *fields) describePoint(p *runtimeinfo.Point) string {
	var labels []string
	for _, l := range p.Labels {
		if l != "" && (w.all || !repeats(labels, l)) {
			labels = append(labels, units.Shorten(l, maxLabel))
		}
	}
	v, unit := p.Number, p.Metric.Unit
	if h := p.Histogram; h != nil {
		v, unit = float64(h.Count()), ""
	}
	return units.Format(v, unit) + " " + strings.Join(labels, ", ")
}

// repeats reports whether a label is one of labels, or the function of a place among them: main.handle
// of main.handle (main.go:42).
func repeats(labels []string, label string) bool {
	return slices.ContainsFunc(labels, func(l string) bool { return l == label || strings.HasPrefix(l, label+" (") })
}

// incidents puts the open incidents.
func (w *fields) incidents(s *runtimeinfo.Snapshot) {
	var texts []string
	for _, i := range s.Incidents {
		text := sentence.Incident(i)
		if i.Size != 0 && finite(i.Size) {
			text += ", " + units.Format(i.Size, i.Unit)
		}
		texts = append(texts, text+", for "+units.Format(max(0, s.Time.Sub(i.Since).Round(time.Second).Seconds()), "s"))
	}
	w.list("incidents", texts)
}

// unusual puts the signals whose value is outside the expected range.
func (w *fields) unusual(s *runtimeinfo.Snapshot) {
	var texts []string
	for i := range s.Bands {
		b := &s.Bands[i]
		if !sentence.Unusual(b) {
			continue
		}
		text := units.Shorten(b.Signal, maxLabel) + " " + units.Format(b.Value, b.Unit)
		if b.Value > b.Upper {
			text += ", expected at most " + units.Format(b.Upper, b.Unit)
		} else {
			text += ", expected at least " + units.Format(b.Lower, b.Unit)
		}
		if !b.Since.IsZero() {
			text += ", anomaly for " + units.Format(max(0, s.Time.Sub(b.Since).Round(time.Second).Seconds()), "s")
		}
		texts = append(texts, text)
	}
	w.list("unusual", texts)
}

// spans puts spans as maps, with their age at the given time. A search by trace id finds the records
// of a trace.
func (w *fields) spans(spans []runtimeinfo.Span, at time.Time) {
	if len(spans) > 0 {
		w.put("spans", spanMaps(spans, at))
	}
}

// runID returns the first part of an id. It has the start time of the agent, because seq starts
// again in a new process, which may have the same instance id, such as the name of a pod.
func runID(s *runtimeinfo.Snapshot) []byte {
	id := append(make([]byte, 0, 96), resourceValue(s, "service.instance.id")...)
	return strconv.AppendInt(append(id, '/'), s.Start.UnixNano(), 36)
}

// spanMaps returns spans as maps, with their age at the given time.
func spanMaps(spans []runtimeinfo.Span, at time.Time) []any {
	list := make([]any, len(spans))
	for i := range spans {
		sp := &spans[i]
		list[i] = map[string]any{
			"trace_id": sp.TraceIDString(), "span_id": sp.SpanIDString(),
			"name": valid(sp.Name), "age": age(sp, at),
		}
	}
	return list
}

// age returns the age of a span in seconds, and 0 for a span that starts in the future, which
// happens if the clock is set back.
func age(sp *runtimeinfo.Span, at time.Time) float64 { return max(0, at.Sub(sp.Start).Seconds()) }

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// valid replaces invalid UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
