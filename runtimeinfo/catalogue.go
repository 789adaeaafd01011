// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"fmt"
	"slices"
	"strings"
)

// Catalogue is an ordered list of metrics with unambiguous names. All values of a
// [Snapshot] are of metrics in its catalogue. It is immutable.
type Catalogue struct {
	metrics []*Metric
	index   map[*Metric]int
	byKey   map[string]int
}

// NewCatalogue returns a catalogue of the metrics in the order given. The error names
// two metrics whose names clash: see [Metric.Key].
func NewCatalogue(metrics ...*Metric) (*Catalogue, error) {
	c := newCatalogue(metrics)
	for i, m := range metrics {
		if err := c.clash(m, metrics[:i]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// newCatalogue returns a catalogue of metrics that were checked before.
func newCatalogue(metrics []*Metric) *Catalogue {
	c := &Catalogue{metrics: slices.Clip(metrics), index: make(map[*Metric]int, len(metrics)), byKey: make(map[string]int, len(metrics))}
	for i, m := range metrics {
		c.index[m] = i
		if _, ok := c.byKey[m.Key()]; !ok {
			c.byKey[m.Key()] = i
		}
	}
	return c
}

// With returns a catalogue that has one more metric, at its end.
func (c *Catalogue) With(m *Metric) (*Catalogue, error) {
	if err := c.clash(m, c.metrics); err != nil {
		return nil, err
	}
	return newCatalogue(append(slices.Clip(c.metrics), m)), nil
}

// Metrics returns the metrics in order. The slice must not be changed.
func (c *Catalogue) Metrics() []*Metric {
	if c == nil {
		return nil
	}
	return c.metrics
}

// find returns the index of the metric with a key.
func (c *Catalogue) find(key string) (i int, ok bool) {
	if c == nil {
		return 0, false
	}
	i, ok = c.byKey[key]
	return i, ok
}

// clash returns an error if m cannot stand beside the others.
func (c *Catalogue) clash(m *Metric, others []*Metric) error {
	for _, o := range others {
		if o == m || clash(o.Key(), m.Key()) || o.Name != m.Name && flat(o.Name) == flat(m.Name) {
			return fmt.Errorf("the name %s clashes with the metric %s", m.Key(), o.Key())
		}
	}
	return nil
}

// clash reports whether one key is the other or a dot-separated prefix of it.
func clash(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

// flat returns the name as stores without dots have it.
func flat(name string) string { return strings.ReplaceAll(name, ".", "_") }
