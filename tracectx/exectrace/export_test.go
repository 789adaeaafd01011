// SPDX-License-Identifier: Apache-2.0

package exectrace

import "time"

// Stats counts the recordings of a Recorder by outcome.
type Stats = counts

// Stats returns the counts that Analyze publishes.
func (r *Recorder) Stats() Stats {
	r.statsMu.Lock()
	defer r.statsMu.Unlock()
	return r.stats
}

// Sum returns the whole duration.
func (p *Parts) Sum() (d time.Duration) {
	for _, part := range p.All() {
		d += part
	}
	return d
}
