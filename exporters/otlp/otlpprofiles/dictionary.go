// SPDX-License-Identifier: Apache-2.0

package otlpprofiles

import (
	"github.com/google/pprof/profile"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	pb "go.opentelemetry.io/proto/slim/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"

	"github.com/gmpulse/gmpulse/exporters/otlp/internal/identity"
)

// table collects different messages, each of which is referred to by its index.
type table[M proto.Message] struct {
	items []M
	index map[string]int32 // by encoded message
}

// newTable returns a table that begins with the given messages.
func newTable[M proto.Message](first ...M) *table[M] {
	t := &table[M]{index: map[string]int32{}}
	for _, m := range first {
		t.add(m)
	}
	return t
}

// add returns the index of m, which it adds if no equal message is in the table.
func (t *table[M]) add(m M) int32 {
	// It fails only for invalid UTF-8, which dictionary.text removes.
	key, _ := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	i, ok := t.index[string(key)]
	if !ok {
		i = int32(len(t.items)) //nolint:gosec // a profile has at most 64 MiB
		t.index[string(key)] = i
		t.items = append(t.items, m)
	}
	return i
}

// dictionary builds the tables that all profiles of a request share. Index 0 of each table is the zero
// value, which means that there is none.
type dictionary struct {
	strings     []string
	stringIndex map[string]int32
	mappings    *table[*pb.Mapping]
	locations   *table[*pb.Location]
	functions   *table[*pb.Function]
	links       *table[*pb.Link]
	attributes  *table[*pb.KeyValueAndUnit]
	stacks      *table[*pb.Stack]

	known map[*profile.Location]int32
}

func newDictionary() *dictionary {
	return &dictionary{
		strings: []string{""}, stringIndex: map[string]int32{"": 0},
		mappings:   newTable(&pb.Mapping{}),
		locations:  newTable(&pb.Location{}),
		functions:  newTable(&pb.Function{}),
		links:      newTable(&pb.Link{TraceId: make([]byte, 16), SpanId: make([]byte, 8)}), // as the protocol recommends
		attributes: newTable(&pb.KeyValueAndUnit{}),
		stacks:     newTable(&pb.Stack{}),
		known:      map[*profile.Location]int32{},
	}
}

func (d *dictionary) message() *pb.ProfilesDictionary {
	return &pb.ProfilesDictionary{
		StringTable: d.strings, MappingTable: d.mappings.items, LocationTable: d.locations.items,
		FunctionTable: d.functions.items, LinkTable: d.links.items, AttributeTable: d.attributes.items,
		StackTable: d.stacks.items,
	}
}

// text returns the index of a string.
func (d *dictionary) text(s string) int32 {
	s = identity.Valid(s)
	i, ok := d.stringIndex[s]
	if !ok {
		i = int32(len(d.strings)) //nolint:gosec // a profile has at most 64 MiB
		d.stringIndex[s] = i
		d.strings = append(d.strings, s)
	}
	return i
}

// attribute returns the index of an attribute.
func (d *dictionary) attribute(kv attribute.KeyValue) int32 {
	return d.measure(kv, "")
}

// measure returns the index of an attribute with a unit of UCUM.
func (d *dictionary) measure(kv attribute.KeyValue, unit string) int32 {
	return d.attributes.add(&pb.KeyValueAndUnit{KeyStrindex: d.text(string(kv.Key)), Value: anyValue(kv.Value), UnitStrindex: d.text(unit)})
}

// valueType returns a type of samples, or nil.
func (d *dictionary) valueType(t *profile.ValueType) *pb.ValueType {
	if t == nil {
		return nil
	}
	return &pb.ValueType{TypeStrindex: d.text(t.Type), UnitStrindex: d.text(t.Unit)}
}

// stack returns the index of a stack. Both formats begin with the innermost frame.
func (d *dictionary) stack(locations []*profile.Location) int32 {
	s := &pb.Stack{LocationIndices: make([]int32, len(locations))}
	for i, l := range locations {
		index, ok := d.known[l]
		if !ok {
			index = d.location(l)
			d.known[l] = index
		}
		s.LocationIndices[i] = index
	}
	return d.stacks.add(s)
}

func (d *dictionary) location(l *profile.Location) int32 {
	m := &pb.Location{MappingIndex: d.mapping(l.Mapping), Address: l.Address}
	for i := range l.Line {
		line := &l.Line[i]
		m.Lines = append(m.Lines, &pb.Line{FunctionIndex: d.function(line.Function), Line: line.Line, Column: line.Column})
	}
	if len(m.Lines) > 0 {
		m.AttributeIndices = append(m.AttributeIndices, d.attribute(semconv.ProfileFrameTypeGo))
	}
	if l.IsFolded {
		m.AttributeIndices = append(m.AttributeIndices, d.attribute(semconv.PprofLocationIsFolded(true)))
	}
	return d.locations.add(m)
}

func (d *dictionary) function(f *profile.Function) int32 {
	if f == nil {
		return 0
	}
	return d.functions.add(&pb.Function{
		NameStrindex: d.text(f.Name), SystemNameStrindex: d.text(f.SystemName),
		FilenameStrindex: d.text(f.Filename), StartLine: f.StartLine,
	})
}

func (d *dictionary) mapping(m *profile.Mapping) int32 {
	if m == nil {
		return 0
	}
	x := &pb.Mapping{MemoryStart: m.Start, MemoryLimit: m.Limit, FileOffset: m.Offset, FilenameStrindex: d.text(m.File)}
	if m.BuildID != "" {
		x.AttributeIndices = append(x.AttributeIndices, d.attribute(semconv.ProcessExecutableBuildIDGNU(m.BuildID)))
	}
	for _, has := range []attribute.KeyValue{
		semconv.PprofMappingHasFunctions(m.HasFunctions), semconv.PprofMappingHasFilenames(m.HasFilenames),
		semconv.PprofMappingHasLineNumbers(m.HasLineNumbers), semconv.PprofMappingHasInlineFrames(m.HasInlineFrames),
	} {
		if has.Value.AsBool() {
			x.AttributeIndices = append(x.AttributeIndices, d.attribute(has))
		}
	}
	return d.mappings.add(x)
}

// keyValues returns attributes of a resource.
func keyValues(all []attribute.KeyValue) []*commonpb.KeyValue {
	kvs := make([]*commonpb.KeyValue, len(all))
	for i, kv := range all {
		kvs[i] = &commonpb.KeyValue{Key: identity.Valid(string(kv.Key)), Value: anyValue(kv.Value)}
	}
	return kvs
}

// anyValue returns the value of an attribute.
func anyValue(v attribute.Value) *commonpb.AnyValue {
	switch v.Type() {
	case attribute.BOOL:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: v.AsBool()}}
	case attribute.INT64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: v.AsInt64()}}
	case attribute.FLOAT64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v.AsFloat64()}}
	case attribute.STRINGSLICE:
		return array(v.AsStringSlice(), attribute.StringValue)
	case attribute.INT64SLICE:
		return array(v.AsInt64Slice(), attribute.Int64Value)
	default:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: identity.Valid(v.String())}}
	}
}

func array[T any](all []T, value func(T) attribute.Value) *commonpb.AnyValue {
	a := &commonpb.ArrayValue{}
	for _, v := range all {
		a.Values = append(a.Values, anyValue(value(v)))
	}
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: a}}
}
