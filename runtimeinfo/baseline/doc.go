// SPDX-License-Identifier: Apache-2.0

// Package baseline learns what is normal for the metrics of a process and tells
// what is not, with the band that it expected: thresholds that follow the traffic.
//
// [Watch] looks at every snapshot: it knows how each signal goes with the load,
// gathers evidence from second to second, and makes one event of the signals
// that leave their bands together. [Series] is the part that judges coarse
// samples by their rarity, usable by itself.
//
// Everything is online and causal: one sample at a time, constant memory, no
// allocation, nothing that looks ahead.
package baseline
