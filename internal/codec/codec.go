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

	points []runtimeinfo.Point // reused
	coder  coder               // reused
}

// Append appends the encoding of s to b. If the error is [ErrTooLarge], Append returns b
// unchanged. It takes a few microseconds, and allocates only for events if b has enough
// capacity.
func (e *Encoder) Append(b []byte, s *runtimeinfo.Snapshot) ([]byte, error) {
	e.points = slices.AppendSeq(e.points[:0], s.Points())
	defer func() { clear(e.points) }() // do not keep the snapshot in memory
	e.updateSchema(s)
	c := &e.coder
	*c = coder{b: b, start: len(b), limit: MaxEncoded, origins: c.origins[:0]}
	defer func() { c.b = nil }()
	c.recordHeader(&e.id)
	c.head(s)
	c.points(e.metrics, e.bounds, e.points)
	c.lists(s)
	if c.size() > MaxEncodedEvent {
		return b, fmt.Errorf("%w: %d bytes without its events, the most is %d", ErrTooLarge, c.size(), MaxEncodedEvent)
	}
	list(c, &s.Events, (*coder).event)
	if c.size() > MaxEncoded {
		return b, fmt.Errorf("%w: %d bytes with its events, the most is %d", ErrTooLarge, c.size(), MaxEncoded)
	}
	return c.b, nil
}

// Schema returns the schema of the snapshot that was appended last. The caller must not
// change the bytes.
func (e *Encoder) Schema() (SchemaID, []byte) { return e.id, e.schema }

// EncodedSize returns the size of an encoded event in bytes.
func EncodedSize(ev *runtimeinfo.Event) int {
	c := coder{version: codecVersion, limit: MaxEncoded}
	c.event(ev)
	return c.size()
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
	e.metrics, e.bounds = metrics, make([][]float64, len(metrics))
	for i, m := range metrics {
		e.bounds[i] = bounds[m]
	}
	var c coder
	c.header()
	c.schema(&e.metrics, &e.bounds)
	e.schema, e.id = c.b, idOf(c.b)
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
	c := coder{b: b, reading: true}
	c.header()
	s := &schema{}
	var metrics []*runtimeinfo.Metric
	c.schema(&metrics, &s.bounds)
	if err := c.end(); err != nil {
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
	c := coder{b: record, reading: true}
	var id SchemaID
	c.recordHeader(&id)
	return id, c.err
}

// Decode returns the snapshot of a record. The errors are [ErrUnknownSchema] and
// [ErrMalformed]. Decode accepts any input: it does not panic, and its memory is
// proportional to the input.
func (d *Decoder) Decode(record []byte) (*runtimeinfo.Snapshot, error) {
	c := coder{b: record, reading: true}
	var id SchemaID
	if c.recordHeader(&id); c.err != nil {
		return nil, c.err
	}
	sch := d.schemas[id]
	if sch == nil {
		return nil, fmt.Errorf("%w: %016x", ErrUnknownSchema, uint64(id))
	}
	var s runtimeinfo.Snapshot
	c.head(&s)
	points := c.points(sch.catalogue.Metrics(), sch.bounds, nil)
	c.lists(&s)
	list(&c, &s.Events, (*coder).event)
	if err := c.end(); err != nil {
		return nil, err
	}
	b := runtimeinfo.NewBuilder(sch.catalogue, s)
	draft := b.Draft()
	for _, p := range points {
		draft.AddPoint(p)
	}
	b.Merge(draft)
	return b.Snapshot(), nil
}
