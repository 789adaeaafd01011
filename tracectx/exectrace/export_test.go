// SPDX-License-Identifier: Apache-2.0

package exectrace

// Stats counts the recordings of a Recorder by outcome.
type Stats = counts

// Stats returns the counts that Analyze publishes.
func (r *Recorder) Stats() Stats { return r.counts() }
