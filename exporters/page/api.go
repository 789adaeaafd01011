// SPDX-License-Identifier: Apache-2.0

package page

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// meta is the answer of api/v1/meta: who this is, and what every column means.
type meta struct {
	Boot      string                `json:"boot"` // with a row's number it makes the id of a stream event
	Seq       uint64                `json:"seq"`  // of the newest row
	From      int64                 `json:"from"` // Unix ms of the oldest row
	To        int64                 `json:"to"`   // and of the newest
	Now       int64                 `json:"now"`
	Start     int64                 `json:"start"` // when the agent began
	Interval  float64               `json:"interval"`
	Resource  map[string]string     `json:"resource"`
	Columns   []string              `json:"columns"`
	Metrics   map[string]metricJSON `json:"metrics"` // by the column's name up to "{"
	TraceURL  string                `json:"trace_url,omitempty"`
	Captures  bool                  `json:"captures"`    // there may be some
	Capture   bool                  `json:"can_capture"` // one can be asked for
	Groups    bool                  `json:"goroutines"`
	NoSpans   bool                  `json:"no_spans"` // the program shows none
	Viewers   int                   `json:"viewers"`
	Cut       uint64                `json:"viewers_cut"`
	Bytes     int                   `json:"history_bytes"`
	Lost      uint64                `json:"values_lost"`
	Forgotten uint64                `json:"events_forgotten"`
}

type metricJSON struct {
	Unit      string `json:"unit"`
	Kind      string `json:"kind"` // a counter's column is its rate per second
	Subsystem string `json:"subsystem"`
	Help      string `json:"help"`
}

func (e *Exporter) serveMeta(w http.ResponseWriter, r *http.Request) {
	m := meta{
		Boot: e.boot, Now: time.Now().UnixMilli(), Interval: e.config.Resolution.Seconds(),
		Columns: e.history.directory(), TraceURL: e.config.TraceURL,
		Captures: e.config.Bundles != nil, Capture: e.config.Capture != nil, Groups: e.config.Goroutines != nil,
		NoSpans:  e.config.NoSpans != nil && e.config.NoSpans(),
		Resource: map[string]string{}, Metrics: map[string]metricJSON{},
	}
	m.From, m.To, m.Seq = e.history.span()
	m.Bytes, m.Lost = e.history.cost()
	m.Viewers, m.Cut = e.hub.count()
	e.keeper.mu.Lock()
	m.Forgotten = e.keeper.events.dropped
	e.keeper.mu.Unlock()
	if s := e.latest.Load(); s != nil {
		m.Start = s.Start.UnixMilli()
		for _, a := range s.Resource {
			m.Resource[a.Key] = a.Value
		}
		for _, x := range s.Metrics() {
			m.Metrics[x.Key()] = describe(x)
		}
	}
	answer(w, r, m)
}

func describe(m *runtimeinfo.Metric) metricJSON {
	return metricJSON{Unit: m.Unit, Kind: m.Kind.String(), Subsystem: string(m.Subsystem), Help: m.Help}
}

// timeRange reads from and to, in Unix ms; absent means all there is.
func timeRange(r *http.Request) (from, to int64, err error) {
	to = math.MaxInt64 - 1
	for name, into := range map[string]*int64{"from": &from, "to": &to} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("%s=%q: want Unix milliseconds", name, text)
		}
		*into = min(max(v, 0), math.MaxInt64-1)
	}
	if from > to {
		return 0, 0, errors.New("from is after to")
	}
	return from, to, nil
}

// serveHistory sends columns of a range.
func (e *Exporter) serveHistory(w http.ResponseWriter, r *http.Request) {
	from, to, err := timeRange(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	send(w, r, e.columns(from, to, r.URL.Query()["key"]))
}

// columns encodes columns of a range, by hand: an hour of forty is 140,000 numbers.
func (e *Exporter) columns(from, to int64, patterns []string) []byte {
	keys := wanted(e.history.directory(), patterns)
	columns := make([]int, len(keys))
	for i, k := range keys {
		columns[i] = slices.Index(e.history.directory(), k)
	}
	t := e.history.read(from, to, columns)
	b := make([]byte, 0, 64+len(t.times)*(16+5*len(keys)))
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, lastOf(t.seqs), 10)
	b = append(append(b, `,"boot":`...), encode(e.boot)...)
	b = append(b, `,"t":[`...)
	for i, ms := range t.times {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, ms, 10)
	}
	b = append(b, `],"columns":{`...)
	values := make([]float32, len(t.rows))
	for c, key := range keys {
		if c > 0 {
			b = append(b, ',')
		}
		for i, row := range t.rows {
			values[i] = row[c]
		}
		b = append(append(b, encode(key)...), ':')
		b = appendNumbers(b, values)
	}
	return append(b, "}}"...)
}

func lastOf(seqs []uint64) uint64 {
	if len(seqs) == 0 {
		return 0
	}
	return seqs[len(seqs)-1]
}

// wanted returns the columns that are asked for: by name, by the beginning of
// the name where it ends in "*", or all.
func wanted(directory, patterns []string) []string {
	if len(patterns) == 0 {
		return directory
	}
	keys := []string{}
	for _, k := range directory {
		if slices.ContainsFunc(patterns, func(p string) bool {
			prefix, open := strings.CutSuffix(p, "*")
			return k == p || open && strings.HasPrefix(k, prefix)
		}) {
			keys = append(keys, k)
		}
	}
	return keys
}

// serveSamples is the stream for those who cannot have one.
func (e *Exporter) serveSamples(w http.ResponseWriter, r *http.Request) {
	type sample struct {
		ID   string `json:"id"`
		Data raw    `json:"data"`
	}
	out := struct {
		Reset   bool     `json:"reset"` // load the history anew
		ID      string   `json:"id"`    // to ask for what comes after
		Columns []string `json:"columns"`
		Samples []sample `json:"samples"`
	}{Samples: []sample{}}
	_, _, newest := e.history.span()
	after := e.resume(lastEventID(r))
	frames, complete := e.frames(after, maxReplay)
	out.Reset = !complete
	out.ID = e.id(newest)
	out.Columns = e.history.directory()
	for _, f := range frames {
		out.ID = e.id(f.seq)
		out.Samples = append(out.Samples, sample{out.ID, f.data})
	}
	answer(w, r, out)
}

// raw is JSON already.
type raw []byte

// MarshalJSON returns r.
func (r raw) MarshalJSON() ([]byte, error) { return r, nil }

// id is that of a row in the stream.
func (e *Exporter) id(seq uint64) string { return e.boot + "-" + strconv.FormatUint(seq, 10) }

// serveEvents sends the events and spells of a range.
func (e *Exporter) serveEvents(w http.ResponseWriter, r *http.Request) {
	from, to, err := timeRange(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	e.keeper.mu.Lock()
	out := struct {
		Events []event `json:"events"`
		Spells []spell `json:"spells"`
	}{e.keeper.events.within(from, to), e.keeper.spells.within(from, to)}
	e.keeper.mu.Unlock()
	answer(w, r, out)
}

// serveSpans sends the spans that were seen active in a range for two seconds
// and longer.
func (e *Exporter) serveSpans(w http.ResponseWriter, r *http.Request) {
	const long = 2000
	from, to, err := timeRange(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	out := map[string][]aliveJSON{"spans": {}}
	e.keeper.mu.Lock()
	for _, s := range e.keeper.spans.within(from, to) {
		if s.last-s.start >= long {
			out["spans"] = append(out["spans"], s.alive())
		}
	}
	e.keeper.mu.Unlock()
	answer(w, r, out)
}
