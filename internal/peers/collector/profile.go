// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// profiles writes a record for each sample.
func (w *writer) profiles() xconsumer.Profiles {
	c, _ := xconsumer.NewProfiles(func(_ context.Context, all pprofile.Profiles) error { // fails on nil only
		d := all.Dictionary()
		return each(all.ResourceProfiles(), func(rp pprofile.ResourceProfiles) error {
			return each(rp.ScopeProfiles(), func(sp pprofile.ScopeProfiles) error {
				return each(sp.Profiles(), func(p pprofile.Profile) error {
					common := record{
						Signal: "profile", Name: text(d, p.SampleType().TypeStrindex()), Unit: text(d, p.SampleType().UnitStrindex()),
						Start: nanoseconds(p.Time()), Time: nanoseconds(p.Time() + pcommon.Timestamp(p.DurationNano())),
						Resource: raw(rp.Resource().Attributes()), Scope: sp.Scope().Name(), Schemas: schemas(rp.SchemaUrl(), sp.SchemaUrl()),
						Dropped: p.DroppedAttributesCount(),
					}
					return each(p.Samples(), func(s pprofile.Sample) error { return w.write(sampleRecord(d, p, s, common)) })
				})
			})
		})
	})
	return c
}

func sampleRecord(d pprofile.ProfilesDictionary, p pprofile.Profile, s pprofile.Sample, r record) *record {
	ofProfile, _ := attributes(d, p.AttributeIndices().AsRaw())
	ofSample, units := attributes(d, s.AttributeIndices().AsRaw())
	r.Attributes = ofSample
	r.Profile = &profile{
		ID: p.ProfileID().String(), Period: p.Period(), Payload: p.OriginalPayloadFormat(),
		PeriodType: text(d, p.PeriodType().TypeStrindex()) + "/" + text(d, p.PeriodType().UnitStrindex()),
		Attributes: ofProfile, Values: s.Values().AsRaw(), Stack: frames(d, s.StackIndex()), Units: units,
	}
	if s.LinkIndex() > 0 {
		l := d.LinkTable().At(int(s.LinkIndex()))
		r.TraceID, r.SpanID = l.TraceID().String(), l.SpanID().String()
	}
	return &r
}

func frames(d pprofile.ProfilesDictionary, stack int32) (all []string) {
	for _, i := range d.StackTable().At(int(stack)).LocationIndices().All() {
		for _, l := range d.LocationTable().At(int(i)).Lines().All() {
			f := d.FunctionTable().At(int(l.FunctionIndex()))
			all = append(all, fmt.Sprintf("%s %s:%d", text(d, f.NameStrindex()), text(d, f.FilenameStrindex()), l.Line()))
		}
	}
	return all
}

func attributes(d pprofile.ProfilesDictionary, indices []int32) (all map[string]any, units map[string]string) {
	all, units = map[string]any{}, map[string]string{}
	for _, i := range indices {
		kv := d.AttributeTable().At(int(i))
		key := text(d, kv.KeyStrindex())
		all[key] = harmless(kv.Value().AsRaw())
		if unit := text(d, kv.UnitStrindex()); unit != "" {
			units[key] = unit
		}
	}
	return all, units
}

func text(d pprofile.ProfilesDictionary, i int32) string { return d.StringTable().At(int(i)) }
