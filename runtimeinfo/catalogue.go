// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Catalogue is an ordered list of metrics with unambiguous names. Every value of a
// [Snapshot] belongs to a metric of the catalogue of the snapshot. A Catalogue is immutable.
type Catalogue struct {
	metrics []*Metric
	index   map[*Metric]int
	byKey   map[string]int
}

// NewCatalogue returns a catalogue of the metrics in the given order. It returns an error
// that names two metrics if their names conflict, see [Metric.Key].
func NewCatalogue(metrics ...*Metric) (*Catalogue, error) {
	if err := checkNames(metrics); err != nil {
		return nil, err
	}
	return newCatalogue(metrics), nil
}

// newCatalogue returns a catalogue without checking the names.
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

// Metrics returns the metrics in order. The caller must not change the slice.
func (c *Catalogue) Metrics() []*Metric {
	if c == nil {
		return nil
	}
	return c.metrics
}

// find returns the index of the metric with the given key.
func (c *Catalogue) find(key string) (i int, ok bool) {
	if c == nil {
		return 0, false
	}
	i, ok = c.byKey[key]
	return i, ok
}

// checkNames returns an error if two metrics have the same key, if a key is a dot-separated
// prefix of another, or if two names are equal once dots are underscores.
func checkNames(metrics []*Metric) error {
	keys, prefixes, underscored := map[string]*Metric{}, map[string]*Metric{}, map[string]*Metric{}
	for _, m := range metrics {
		key, name := m.Key(), strings.ReplaceAll(m.Name, ".", "_")
		other := cmp.Or(keys[key], prefixes[key])
		if same := underscored[name]; same != nil && same.Name != m.Name {
			other = cmp.Or(other, same)
		}
		for i, c := range key {
			if c == '.' {
				other = cmp.Or(other, keys[key[:i]])
				prefixes[key[:i]] = m
			}
		}
		if other != nil {
			return fmt.Errorf("the name %s clashes with the metric %s", key, other.Key())
		}
		keys[key], underscored[name] = m, m
	}
	return nil
}
