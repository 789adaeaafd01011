// SPDX-License-Identifier: Apache-2.0

// Package codec encodes snapshots for storage and decodes them in another process, which may
// run another version of gmpulse.
package codec

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// The size limits of the encoding, in bytes.
const (
	// MaxEncodedEvent limits one event, and a snapshot without its events.
	MaxEncodedEvent = 1 << 20
	// MaxEncoded limits a snapshot with its events.
	MaxEncoded = 16 << 20
	// MaxEncodedText limits one string. Longer strings are truncated and marked.
	MaxEncodedText = 64 << 10
)

var (
	// ErrTooLarge means that a snapshot exceeds the size limits.
	ErrTooLarge = errors.New("snapshot is too large to encode")
	// ErrUnknownSchema means that the [Decoder] does not have the schema of a record.
	ErrUnknownSchema = errors.New("the schema of the record is unknown")
	// ErrMalformed means that an [Encoder] of this version did not write the input.
	ErrMalformed = errors.New("malformed")
)

// codecVersion is the first byte of every schema and record. A decoder must read all
// versions up to its own. An older decoder reports a record of a newer version as malformed,
// and the spool keeps it for the newer one.
//
// Version 2 adds Ticks, Since and Incidents to a snapshot, Range to a value, Incident to an event,
// and flags to a metric.
const codecVersion = 2

// SchemaID identifies a schema. It is a hash of the schema.
type SchemaID uint64

// Encoder encodes snapshots. The descriptions of the metrics, about 24 KB, are a separate
// schema, which is stored once for many records of about 1.7 KB.
//
//	var enc codec.Encoder
//	record, err := enc.Append(nil, s)
//	id, schema := enc.Schema() // to be stored with the record
//
// The encoding keeps all content of a snapshot, with two exceptions. An attribute of an event
// whose type is not one of log/slog's becomes the string that slog prints, and strings longer
// than [MaxEncodedText] and groups nested deeper than eight levels are truncated.
//
// The zero value is ready to use. An Encoder is not safe for concurrent use.
type Encoder struct {
	metrics []*runtimeinfo.Metric
	bounds  [][]float64 // of histograms without labels, by the index of the metric
	schema  []byte
	id      SchemaID

	points  []runtimeinfo.Point // reused
	origins []origin            // reused
}

// Append appends the encoding of s to b. If the error is [ErrTooLarge], Append returns b
// unchanged. It takes a few microseconds, and allocates only for events if b has enough
// capacity.
func (e *Encoder) Append(b []byte, s *runtimeinfo.Snapshot) ([]byte, error) {
	e.points = slices.AppendSeq(e.points[:0], s.Points())
	defer func() { clear(e.points) }() // do not keep the snapshot in memory
	e.updateSchema(s)
	w := writer{b: b, start: len(b), origins: e.origins[:0]}
	defer func() { e.origins = w.origins }()
	w.byte(codecVersion)
	w.fixed64(uint64(e.id))
	w.uint(s.Seq)
	w.time(s.Time)
	w.time(s.Start)
	w.int(int64(s.Ticks))
	w.time(s.Since)
	w.attrs(s.Resource)
	w.values(e.metrics, e.points)
	w.spans(s.Spans)
	writeList(&w, s.SpanGroups, (*writer).spanGroup)
	writeList(&w, s.Bands, (*writer).band)
	writeList(&w, s.Incidents, func(w *writer, i **runtimeinfo.Incident) { w.incident(*i) })
	if w.size() > MaxEncodedEvent {
		return b, fmt.Errorf("%w: %d bytes without its events, the most is %d", ErrTooLarge, w.size(), MaxEncodedEvent)
	}
	writeList(&w, s.Events, (*writer).event)
	if w.size() > MaxEncoded {
		return b, fmt.Errorf("%w: %d bytes with its events, the most is %d", ErrTooLarge, w.size(), MaxEncoded)
	}
	return w.b, nil
}

// Schema returns the schema of the snapshot that was appended last. The caller must not
// change the bytes.
func (e *Encoder) Schema() (SchemaID, []byte) { return e.id, e.schema }

// EncodedSize returns the size of an encoded event in bytes.
func EncodedSize(ev *runtimeinfo.Event) int {
	var w writer
	w.event(ev)
	return w.size()
}

// updateSchema makes a new schema if the metrics or the bounds of s differ from
// the previous snapshot.
func (e *Encoder) updateSchema(s *runtimeinfo.Snapshot) {
	if e.schema != nil && e.covers(s) {
		return
	}
	metrics := s.Metrics()
	bounds := map[*runtimeinfo.Metric][]float64{}
	for i := range e.points {
		if p := &e.points[i]; hasSchemaBounds(p.Metric) {
			bounds[p.Metric] = p.Histogram.Bounds
		}
	}
	var w writer
	w.byte(codecVersion)
	w.uint(uint64(len(metrics)))
	e.metrics, e.bounds = metrics, make([][]float64, len(metrics))
	for i, m := range metrics {
		w.metric(m)
		if hasSchemaBounds(m) {
			e.bounds[i] = bounds[m]
			w.floats(bounds[m])
		}
	}
	e.schema, e.id = w.b, idOf(w.b)
}

// covers reports whether the current schema describes s.
func (e *Encoder) covers(s *runtimeinfo.Snapshot) bool {
	if !slices.Equal(e.metrics, s.Metrics()) {
		return false
	}
	at := 0 // index of the metric of the point
	for i := range e.points {
		p := &e.points[i]
		for e.metrics[at] != p.Metric {
			at++
		}
		if hasSchemaBounds(p.Metric) && !slices.Equal(e.bounds[at], p.Histogram.Bounds) {
			return false
		}
	}
	return true
}

// hasSchemaBounds reports whether the schema has the bounds of the metric. Histograms with
// labels have theirs in each record.
func hasSchemaBounds(m *runtimeinfo.Metric) bool {
	return m.Kind == runtimeinfo.KindHistogram && m.Keys == nil
}

func idOf(schema []byte) SchemaID {
	h := fnv.New64a()
	_, _ = h.Write(schema) // never fails, by its documentation
	return SchemaID(h.Sum64())
}

// schema is a decoded schema. Snapshots share its catalogue.
type schema struct {
	catalogue *runtimeinfo.Catalogue
	bounds    [][]float64 // of histograms without labels, by the index of the metric
}

// Decoder decodes the records of an [Encoder]. The zero value is ready to use. A Decoder is
// not safe for concurrent use; the snapshots that it returns are immutable.
type Decoder struct {
	schemas map[SchemaID]*schema
}

// Learn adds a schema and returns its id. The error is [ErrMalformed].
func (d *Decoder) Learn(b []byte) (SchemaID, error) {
	id := idOf(b)
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

// Forget removes a schema.
func (d *Decoder) Forget(id SchemaID) { delete(d.schemas, id) }

func readSchema(b []byte) (*schema, error) {
	r := reader{b: b}
	r.version()
	s := &schema{}
	var metrics []*runtimeinfo.Metric
	for range r.count(minMetric) {
		m := r.metric()
		var bounds []float64
		if hasSchemaBounds(m) {
			bounds = r.floats()
		}
		metrics, s.bounds = append(metrics, m), append(s.bounds, bounds)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	var err error
	if s.catalogue, err = runtimeinfo.NewCatalogue(metrics...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return s, nil
}

// SchemaOf returns the id of the schema of a record.
func SchemaOf(record []byte) (SchemaID, error) {
	r := reader{b: record}
	r.version()
	id := SchemaID(r.fixed64())
	return id, r.err
}

// Decode returns the snapshot of a record. The errors are [ErrUnknownSchema] and
// [ErrMalformed]. Decode accepts any input: it does not panic, and its memory is
// proportional to the input.
func (d *Decoder) Decode(record []byte) (*runtimeinfo.Snapshot, error) {
	id, err := SchemaOf(record)
	if err != nil {
		return nil, err
	}
	sch := d.schemas[id]
	if sch == nil {
		return nil, fmt.Errorf("%w: %016x", ErrUnknownSchema, uint64(id))
	}
	r := reader{b: record[9:], v: record[0]}
	s := runtimeinfo.Snapshot{Seq: r.uint(), Time: r.time(), Start: r.time()}
	if r.v >= 2 {
		s.Ticks, s.Since = int(r.int()), r.time()
	}
	s.Resource = r.attrs()
	points := r.values(sch)
	s.Spans = r.spans()
	s.SpanGroups = readList(&r, minSpanGroup, (*reader).spanGroup)
	s.Bands = readList(&r, minBand, (*reader).band)
	if r.v >= 2 {
		s.Incidents = readList(&r, minIncident, (*reader).incident)
	}
	s.Events = readList(&r, minEvent, (*reader).event)
	if err := r.end(); err != nil {
		return nil, err
	}
	b := runtimeinfo.NewBuilder(sch.catalogue, s, nil)
	draft := b.Draft()
	for _, p := range points {
		draft.AddPoint(p)
	}
	b.Merge(draft)
	return b.Snapshot(), nil
}
