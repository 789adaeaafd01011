// SPDX-License-Identifier: Apache-2.0

package otlpprofiles

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/google/pprof/profile"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	pb "go.opentelemetry.io/proto/slim/otlp/profiles/v1development"

	"github.com/gmpulse/gmpulse/exporters/otlp/internal/identity"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// The attributes that the semantic conventions do not define.
const (
	// RootAttribute is the attribute of a sample with the name of the local root span under which its
	// goroutine was created. It is the profiler label [tracectx.RootLabel], and has at most 47 bytes.
	RootAttribute = attribute.Key("gmpulse.root_span")
	// KindAttribute is the attribute of a profile with its kind, see [Exporter.Enqueue].
	KindAttribute = attribute.Key("gmpulse.profile.kind")
)

// conversion converts one profile.
type conversion struct {
	*dictionary
	src     *profile.Profile
	about   *item
	example func(root string) *runtimeinfo.Span // returns nil if there is none; nil for no links

	samples *table[*pb.Sample] // without values
	values  [][]int64          // of each sample, by type
	dropped uint32             // attributes that a sample has with the same key as another
	linkOf  map[string]int32   // by root
}

// convert returns the profiles of src, one for each type of sample that is not zero everywhere.
func (c *conversion) convert() (*pb.ProfilesDictionary, []*pb.Profile) {
	c.dictionary, c.samples, c.linkOf = newDictionary(), newTable[*pb.Sample](), map[string]int32{}
	for _, s := range c.src.Sample {
		if slices.ContainsFunc(s.Value, func(v int64) bool { return v != 0 }) {
			c.add(s)
		}
	}
	var all []*pb.Profile
	for t := range c.src.SampleType {
		if samples := c.samplesOf(t); len(samples) > 0 {
			p := &pb.Profile{SampleType: c.valueType(c.src.SampleType[t]), Samples: samples}
			c.describe(p, t)
			all = append(all, p)
		}
	}
	return c.message(), all
}

// add adds a sample. Samples that differ only in [tracectx.EpochLabel] become one, with the sums of their values.
func (c *conversion) add(s *profile.Sample) {
	attributes, link := c.labels(s)
	i := c.samples.add(&pb.Sample{StackIndex: c.stack(s.Location), AttributeIndices: attributes, LinkIndex: link})
	if int(i) == len(c.values) {
		c.values = append(c.values, make([]int64, len(c.src.SampleType)))
	}
	for t, v := range s.Value {
		c.values[i][t] += v
	}
}

// samplesOf returns the samples with a value of a type.
func (c *conversion) samplesOf(sampleType int) (all []*pb.Sample) {
	for i, s := range c.samples.items {
		if v := c.values[i][sampleType]; v != 0 {
			all = append(all, &pb.Sample{
				StackIndex: s.StackIndex, AttributeIndices: s.AttributeIndices, LinkIndex: s.LinkIndex, Values: []int64{v},
			})
		}
	}
	return all
}

// describe sets the fields of a profile that its samples do not determine.
func (c *conversion) describe(p *pb.Profile, sampleType int) {
	p.TimeUnixNano = uint64(max(0, c.about.start.UnixNano()))
	p.DurationNano = uint64(max(0, c.about.duration))
	p.PeriodType, p.Period = c.valueType(c.src.PeriodType), c.src.Period
	p.ProfileId = profileID(c.about, sampleType)
	p.DroppedAttributesCount = c.dropped
	for _, kv := range []attribute.KeyValue{
		KindAttribute.String(c.about.kind), semconv.PprofProfileDropFrames(c.src.DropFrames),
		semconv.PprofProfileKeepFrames(c.src.KeepFrames), semconv.PprofProfileDocURL(c.src.DocURL),
	} {
		if kv.Value.AsString() != "" {
			p.AttributeIndices = append(p.AttributeIndices, c.attribute(kv))
		}
	}
	if len(c.src.Comments) > 0 {
		p.AttributeIndices = append(p.AttributeIndices, c.attribute(semconv.PprofProfileComment(c.src.Comments...)))
	}
}

// profileID returns an id that is the same when the profile is sent again.
func profileID(x *item, sampleType int) []byte {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(x.start.UnixNano()))) //nolint:gosec // any bits
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(sampleType)))         //nolint:gosec // not negative
	h.Write([]byte(x.kind))
	h.Write(x.data)
	return h.Sum(nil)[:16]
}

// labels returns the attributes and the link of a sample.
func (c *conversion) labels(s *profile.Sample) (indices []int32, link int32) {
	used := map[attribute.Key]bool{}
	add := func(kv attribute.KeyValue, unit string) {
		kv.Key = attribute.Key(identity.Valid(string(kv.Key)))
		if used[kv.Key] {
			c.dropped++
			return
		}
		used[kv.Key] = true
		indices = append(indices, c.measure(kv, unit))
	}
	if root := s.Label[tracectx.RootLabel]; len(root) > 0 {
		add(RootAttribute.String(root[0]), "")
		if link = c.link(root[0]); link != 0 {
			add(attribute.String(runtimeinfo.ExemplarRelationKey, runtimeinfo.ExemplarRelation), "")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Label)) {
		switch values := s.Label[key]; {
		case key == tracectx.RootLabel || key == tracectx.EpochLabel || len(values) == 0:
		case len(values) == 1:
			add(attribute.String(key, values[0]), "")
		default:
			add(attribute.StringSlice(key, values), "")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.NumLabel)) {
		unit := key // of a label without a unit, as go tool pprof has it: runtime/pprof labels blocks of a heap with "bytes"
		if units := s.NumUnit[key]; len(units) > 0 && units[0] != "" {
			unit = units[0]
		}
		switch values := s.NumLabel[key]; len(values) {
		case 0:
		case 1:
			add(attribute.Int64(key, values[0]), ucum(unit))
		default:
			add(attribute.Int64Slice(key, values), ucum(unit))
		}
	}
	return indices, link
}

// link returns the index of the link to an example of a root span, 0 if there is none.
func (c *conversion) link(root string) int32 {
	if c.example == nil {
		return 0
	}
	i, ok := c.linkOf[root]
	if !ok {
		if x := c.example(root); x != nil {
			i = c.links.add(&pb.Link{TraceId: x.TraceID[:], SpanId: x.SpanID[:]})
		}
		c.linkOf[root] = i
	}
	return i
}

// ucum returns the code of a unit of pprof in UCUM, which attributes have, "" if it has none. Types of samples keep
// the units of pprof.
func ucum(unit string) string {
	switch unit {
	case "bytes":
		return "By"
	case "nanoseconds":
		return "ns"
	case "count":
		return "1"
	default:
		return ""
	}
}

// complete sets the time that a profile covers to what is in the profile, unless the caller has said it.
func (x *item) complete(src *profile.Profile) {
	if x.start.IsZero() && src.TimeNanos > 0 {
		x.start = time.Unix(0, src.TimeNanos)
	}
	x.duration = max(0, cmp.Or(x.duration, time.Duration(src.DurationNanos)))
}
