// SPDX-License-Identifier: Apache-2.0

// Package baseline learns the normal range of a process's metrics and reports values
// outside it: thresholds that follow the traffic.
//
// A [Watch] judges every snapshot. For each signal it learns the expected value under each
// load, accumulates evidence of deviations over seconds and minutes, and reports signals
// that leave their bands together as one event.
//
// It sees one snapshot at a time and uses constant memory.
package baseline
