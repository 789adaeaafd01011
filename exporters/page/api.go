// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
)

// metaJSON is the answer of api/v1/meta.
type metaJSON struct {
	Boot     string                `json:"boot"` // BOOT-SEQ is the id of a row in the stream
	Seq      uint64                `json:"seq"`  // of the newest row
	From     int64                 `json:"from"` // Unix ms of the oldest row
	To       int64                 `json:"to"`   // Unix ms of the newest row
	Now      int64                 `json:"now"`
	Start    int64                 `json:"start"` // of the agent
	Interval float64               `json:"interval"`
	Resource map[string]string     `json:"resource"`
	Columns  []string              `json:"columns"`
	Metrics  map[string]metricJSON `json:"metrics"` // by the name of the column up to "{"
	TraceURL string                `json:"trace_url,omitempty"`
	Captures bool                  `json:"captures"`    // whether there can be captures
	Capture  bool                  `json:"can_capture"` // whether the page can request one
	Groups   bool                  `json:"goroutines"`
	NoSpans  bool                  `json:"no_spans"`
	CPU      bool                  `json:"cpu"`      // whether CPU profiles are taken all the time
	Profiles bool                  `json:"profiles"` // whether there are profiles of the past
	Pprof    bool                  `json:"pprof"`    // whether pprof/ has the profiles of the process
	Viewers  int                   `json:"viewers"`
	Cut      uint64                `json:"viewers_cut"`
	Bytes    int                   `json:"history_bytes"`
}

type metricJSON struct {
	Unit      string `json:"unit"`
	Kind      string `json:"kind"` // the column of a counter is its rate per second
	Subsystem string `json:"subsystem"`
	Help      string `json:"help"`
}

func (e *Exporter) meta(*http.Request) (any, error) {
	m := metaJSON{
		Boot: e.boot, Now: time.Now().UnixMilli(), Interval: e.config.Resolution.Seconds(),
		Columns: e.history.directory(), TraceURL: e.config.TraceURL,
		Captures: e.config.Bundles != nil, Capture: e.config.Capture != nil, Groups: e.config.Goroutines != nil,
		NoSpans: e.config.NoSpans != nil && e.config.NoSpans(),
		CPU:     e.takesCPU(), Profiles: e.config.Profiler != nil, Pprof: !e.config.NoProfiles,
		Resource: e.resource(), Metrics: map[string]metricJSON{},
	}
	m.From, m.To, m.Seq = e.history.span()
	m.Bytes = e.history.bytes()
	m.Viewers, m.Cut = e.hub.counts()
	if s := e.latest.Load(); s != nil {
		m.Start = s.Start.UnixMilli()
		for _, x := range s.Metrics() {
			m.Metrics[x.Key()] = metricJSON{x.Unit, x.Kind.String(), string(x.Subsystem), x.Help}
		}
	}
	return m, nil
}

// resource returns the attributes of the newest snapshot's resource.
func (e *Exporter) resource() map[string]string {
	attrs := map[string]string{}
	if s := e.latest.Load(); s != nil {
		for _, a := range s.Resource {
			attrs[a.Key] = a.Value
		}
	}
	return attrs
}

// record returns the newest snapshot as a full record, with the fields that package jsonl adds.
func (e *Exporter) record(*http.Request) (any, error) {
	s := e.latest.Load()
	if s == nil {
		return nil, &statusError{http.StatusServiceUnavailable, "there is no sample yet; try again in a second"}
	}
	r := maps.Collect(exporters.FullRecord(s))
	r["record"], r["@timestamp"] = "runtime", s.Time.UTC()
	return r, nil
}

// timeRange reads the parameters from and to, in Unix ms, whose names begin with prefix. By
// default the range is unlimited.
func timeRange(r *http.Request, prefix string) (from, to int64, err error) {
	to = math.MaxInt64 - 1
	for name, into := range map[string]*int64{prefix + "from": &from, prefix + "to": &to} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, 0, &statusError{http.StatusBadRequest, fmt.Sprintf("%s=%q: want Unix milliseconds", name, text)}
		}
		*into = min(max(v, 0), math.MaxInt64-1)
	}
	if from > to {
		return 0, 0, &statusError{http.StatusBadRequest, prefix + "from is after " + prefix + "to"}
	}
	return from, to, nil
}

// inRange returns a route that calls f with the time range of the request.
func inRange(f func(from, to int64) any) route {
	return func(r *http.Request) (any, error) {
		from, to, err := timeRange(r, "")
		if err != nil {
			return nil, err
		}
		return f(from, to), nil
	}
}

// columns returns columns of the history in a range.
func (e *Exporter) columns(r *http.Request) (any, error) {
	from, to, err := timeRange(r, "")
	if err != nil {
		return nil, err
	}
	directory := e.history.directory()
	chosen := matching(directory, r.URL.Query()["key"])
	t := e.history.read(from, to, chosen)
	b := make([]byte, 0, 64+len(t.times)*(16+5*len(chosen)))
	b = append(append(b, `{"seq":`...), encode(last(t.seqs))...)
	b = append(append(b, `,"boot":`...), encode(e.boot)...)
	b = append(append(b, `,"t":`...), encode(append([]int64{}, t.times...))...)
	b = append(b, `,"columns":{`...)
	column := make(numbers, len(t.rows))
	for i, c := range chosen {
		if i > 0 {
			b = append(b, ',')
		}
		for r, row := range t.rows {
			column[r] = row[i]
		}
		b = append(append(b, encode(directory[c])...), ':')
		b = column.append(b)
	}
	return append(b, "}}"...), nil
}

// last returns the last element of s, 0 if there is none.
func last(s []uint64) uint64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1]
}

// matching returns the numbers of the columns that match any of the patterns, or of
// all columns if there are no patterns. A pattern is a name, or a prefix and "*".
func matching(directory, patterns []string) []int {
	if len(patterns) == 0 {
		return columnNumbers(len(directory))
	}
	out := []int{}
	for i, key := range directory {
		if slices.ContainsFunc(patterns, func(p string) bool {
			prefix, open := strings.CutSuffix(p, "*")
			return key == p || open && strings.HasPrefix(key, prefix)
		}) {
			out = append(out, i)
		}
	}
	return out
}

// samplesJSON is the answer of api/v1/samples.
type samplesJSON struct {
	Reset   bool         `json:"reset"` // whether the client must load the history again
	ID      string       `json:"id"`    // for the next request
	Columns []string     `json:"columns"`
	Samples []sampleJSON `json:"samples"`
}

type sampleJSON struct {
	ID   string          `json:"id"`
	Data json.RawMessage `json:"data"`
}

// samples returns what the stream sends, for clients that poll.
func (e *Exporter) samples(r *http.Request) (any, error) {
	_, _, newest := e.history.span()
	seq := e.resume(lastEventID(r))
	out := samplesJSON{Reset: newest-seq > maxReplay, ID: e.rowID(newest), Columns: e.history.directory(), Samples: []sampleJSON{}}
	if out.Reset {
		return out, nil
	}
	frames, _ := e.framesAfter(seq, maxReplay)
	for _, f := range frames {
		out.ID = e.rowID(f.seq)
		out.Samples = append(out.Samples, sampleJSON{out.ID, f.data})
	}
	return out, nil
}

// rowID returns the id of a row in the stream.
func (e *Exporter) rowID(seq uint64) string { return e.boot + "-" + strconv.FormatUint(seq, 10) }

// eventsWithin returns the events and episodes of a range.
func (e *Exporter) eventsWithin(from, to int64) any {
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	return struct {
		Events   []event   `json:"events"`
		Episodes []episode `json:"episodes"`
	}{e.store.events.within(from, to), e.store.episodes.within(from, to)}
}

// spansWithin returns the spans that were active for two seconds or longer.
func (e *Exporter) spansWithin(from, to int64) any {
	const long = 2000
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	spans := slices.DeleteFunc(e.store.spans.within(from, to), func(s aliveJSON) bool { return s.age() < long })
	return map[string][]aliveJSON{"spans": spans}
}
