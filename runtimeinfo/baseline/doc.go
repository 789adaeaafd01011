// Package baseline learns what is normal for the metrics of a process and tells
// what is not, with the band that it expected: thresholds that follow the traffic.
//
// [Series] judges coarse samples, a minute apart or more.
//
// Everything is online and causal: one sample at a time, constant memory, no
// allocation, nothing that looks ahead.
package baseline
