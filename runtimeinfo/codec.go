// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
)

// What an encoded snapshot is bounded by.
const (
	// MaxEncodedEvent is the most that one event may take, and the most that all
	// of a snapshot but its events may take, in bytes.
	MaxEncodedEvent = 1 << 20
	// MaxEncoded is the most that a whole snapshot may take.
	MaxEncoded = 16 << 20
	// MaxEncodedText is where a text is cut, its end marked.
	MaxEncodedText = 64 << 10
)

// Errors of the codec that callers tell apart.
var (
	// ErrTooLarge means that a snapshot is beyond the bounds of the codec.
	ErrTooLarge = errors.New("snapshot is too large to encode")
	// ErrUnknownSchema means that a [Decoder] lacks the schema of a record.
	ErrUnknownSchema = errors.New("the schema of the record is unknown")
	// ErrMalformed means that bytes are not what an [Encoder] makes.
	ErrMalformed = errors.New("malformed")
)

// codecVersion is the first byte of whatever the codec writes. A decoder reads
// all versions up to its own.
const codecVersion = 1

// SchemaID tells one schema from others.
type SchemaID uint64

// Encoder turns snapshots into bytes that a [Decoder] turns back in another
// process, of another version of the program too. What snapshots have in common,
// the description of their metrics, is a schema apart: some 24 KB that are
// written once, where a record is 1.7 KB.
//
//	var enc runtimeinfo.Encoder
//	record, err := enc.Append(nil, s)
//	id, schema := enc.Schema()   // to be kept with the record
//
// Numbers, labels, exemplars, spans, bands and events come back as they were, times to the
// nanosecond and with their zone. Attributes of events come back as
// [log/slog] values; those of other types as the text that slog prints. Texts
// are cut at [MaxEncodedText], groups within groups end at eight.
//
// The zero value is ready to use. An Encoder belongs to one goroutine.
type Encoder struct {
	catalogue *Catalogue
	bounds    [][]float64 // of histograms without labels, by the index of the metric
	schema    []byte
	id        SchemaID
	origins   []origin // memory for the next record
}

// Append appends s to b. The error is [ErrTooLarge]; b is then returned as it was.
// It costs a microsecond or two and, once b has room, allocates for events only.
func (e *Encoder) Append(b []byte, s *Snapshot) ([]byte, error) {
	e.learn(s)
	w := writer{b: b, start: len(b), origins: e.origins[:0]}
	defer func() { e.origins = w.origins }()
	w.byte(codecVersion)
	w.fixed64(uint64(e.id))
	w.uint(s.Seq)
	w.time(s.Time)
	w.time(s.Start)
	w.attrs(s.Resource)
	w.values(s)
	w.spans(s.Spans)
	writeList(&w, s.SpanGroups, (*writer).spanGroup)
	writeList(&w, s.Bands, (*writer).band)
	if w.size() > MaxEncodedEvent {
		return b, fmt.Errorf("%w: %d bytes without its events, the most is %d", ErrTooLarge, w.size(), MaxEncodedEvent)
	}
	writeList(&w, s.Events, (*writer).event)
	if w.size() > MaxEncoded {
		return b, fmt.Errorf("%w: %d bytes with its events, the most is %d", ErrTooLarge, w.size(), MaxEncoded)
	}
	return w.b, nil
}

// Schema returns the schema of the snapshot that was appended last. The bytes
// must not be changed.
func (e *Encoder) Schema() (SchemaID, []byte) { return e.id, e.schema }

// EncodedSize returns how many bytes an event takes.
func EncodedSize(ev *Event) int {
	var w writer
	w.event(ev)
	return w.size()
}

// learn makes a new schema when s has other metrics than the snapshot before: at
// the first one, and when an application adds a gauge.
func (e *Encoder) learn(s *Snapshot) {
	if e.schema != nil && e.covers(s) {
		return
	}
	metrics := s.Metrics()
	bounds := make([][]float64, len(metrics))
	for i := range s.points {
		if p := &s.points[i]; p.Metric.Keys == nil {
			bounds[s.catalogue.index[p.Metric]] = p.Histogram.Bounds
		}
	}
	var w writer
	w.byte(codecVersion)
	w.uint(uint64(len(metrics)))
	for i, m := range metrics {
		w.metric(m)
		if m.Keys == nil && m.Kind == KindHistogram {
			w.floats(bounds[i])
		}
	}
	h := fnv.New64a()
	_, _ = h.Write(w.b) // never fails, by its documentation
	e.catalogue, e.bounds, e.schema, e.id = s.catalogue, bounds, w.b, SchemaID(h.Sum64())
}

// covers reports whether the schema is that of s.
func (e *Encoder) covers(s *Snapshot) bool {
	if e.catalogue != s.catalogue && !slices.Equal(e.catalogue.Metrics(), s.Metrics()) {
		return false
	}
	for i := range s.points {
		p := &s.points[i]
		if p.Metric.Keys == nil && !slices.Equal(e.bounds[s.catalogue.index[p.Metric]], p.Histogram.Bounds) {
			return false
		}
	}
	return true
}

// schema is one that a Decoder knows. Snapshots share its catalogue.
type schema struct {
	catalogue *Catalogue
	bounds    [][]float64 // of histograms without labels, by the index of the metric
}

// Decoder turns back what an [Encoder] made. The zero value is ready to use. A
// Decoder belongs to one goroutine; the snapshots that it makes are immutable and
// belong to anybody.
type Decoder struct {
	schemas map[SchemaID]*schema
}

// Learn takes a schema and returns its id. The error is [ErrMalformed].
func (d *Decoder) Learn(b []byte) (SchemaID, error) {
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails, by its documentation
	id := SchemaID(h.Sum64())
	if d.schemas[id] != nil {
		return id, nil
	}
	s, err := readSchema(b)
	if err != nil {
		return 0, err
	}
	if d.schemas == nil {
		d.schemas = map[SchemaID]*schema{}
	}
	d.schemas[id] = s
	return id, nil
}

// Forget drops a schema.
func (d *Decoder) Forget(id SchemaID) { delete(d.schemas, id) }

func readSchema(b []byte) (*schema, error) {
	r := reader{b: b}
	r.version()
	s := &schema{}
	var metrics []*Metric
	for range r.count(minMetric) {
		m := r.metric()
		var bounds []float64
		if m.Keys == nil && m.Kind == KindHistogram {
			bounds = r.floats()
		}
		metrics, s.bounds = append(metrics, m), append(s.bounds, bounds)
	}
	s.catalogue = newCatalogue(metrics)
	return s, r.end()
}

// SchemaOf returns the id of the schema that a record was written with.
func SchemaOf(record []byte) (SchemaID, error) {
	r := reader{b: record}
	r.version()
	id := SchemaID(r.fixed64())
	return id, r.err
}

// Decode returns the snapshot of a record. The errors are [ErrUnknownSchema] and
// [ErrMalformed]. Whatever the bytes are, it does not panic, and takes memory in
// proportion to them.
func (d *Decoder) Decode(record []byte) (*Snapshot, error) {
	id, err := SchemaOf(record)
	if err != nil {
		return nil, err
	}
	sch := d.schemas[id]
	if sch == nil {
		return nil, fmt.Errorf("%w: %016x", ErrUnknownSchema, uint64(id))
	}
	r := reader{b: record[9:]}
	s := &Snapshot{Seq: r.uint(), Time: r.time(), Start: r.time(), Resource: r.attrs()}
	r.values(s, sch)
	s.Spans = r.spans()
	s.SpanGroups = readList(&r, minSpanGroup, (*reader).spanGroup)
	s.Bands = readList(&r, minBand, (*reader).band)
	s.Events = readList(&r, minEvent, (*reader).event)
	if err := r.end(); err != nil {
		return nil, err
	}
	return s, nil
}
