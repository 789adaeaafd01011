// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gmpulse/gmpulse/internal/guard"
)

// foreign is a collector of the application. A registry calls collectors on goroutines of its own,
// on which a panic would end the process. foreign turns a panic into an error of the registration or of
// the scrape.
type foreign struct {
	prometheus.Collector
}

// foreignCollectors wraps the collectors of the application. The error names those that are nil.
func foreignCollectors(all []prometheus.Collector) (wrapped []prometheus.Collector, err error) {
	for i, c := range all {
		if guard.IsNil(c) {
			err = errors.Join(err, fmt.Errorf("prom: Config.Collectors[%d] is nil (%T)", i, c))
			continue
		}
		wrapped = append(wrapped, foreign{c})
	}
	return wrapped, err
}

// Describe sends the descriptors of the collector.
func (f foreign) Describe(ch chan<- *prometheus.Desc) {
	if err := guard.Do(func() error { f.Collector.Describe(ch); return nil }); err != nil {
		ch <- prometheus.NewInvalidDesc(err)
	}
}

// Collect sends the metrics of the collector.
func (f foreign) Collect(ch chan<- prometheus.Metric) {
	if err := guard.Do(func() error { f.Collector.Collect(ch); return nil }); err != nil {
		ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
	}
}
