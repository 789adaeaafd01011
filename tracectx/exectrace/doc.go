// SPDX-License-Identifier: Apache-2.0

// Package exectrace analyzes execution traces of the Go runtime: where the time of
// OpenTelemetry spans goes, and what goroutines do.
//
// An execution trace records every state change of every goroutine. [Analyze] reads a
// trace and divides the duration of each span by cause, to the nanosecond:
//
//	w, err := exectrace.Analyze(ctx, file, math.MaxInt, func(b *exectrace.Breakdown) {
//		fmt.Println(b.Name, b.Duration, b.Self.Of(exectrace.Runnable), b.Self.Of(exectrace.Mutex))
//	})
//
// A [Recorder] owns the flight recorder of the process (runtime/trace.FlightRecorder),
// of which only one can be active. [Recorder.Record] records on demand and reports for
// each goroutine whether it ran, what woke it and which go statements created it:
//
//	r, err := exectrace.New(exectrace.Config{})
//	recording, err := r.Record(ctx, 3*time.Second)
//
// [Recorder.WrapExporter] adds the breakdown to slow spans as attributes. For this,
// [Recorder.Run] records periodically or always, see [Config.Mode], and pauses when
// recording exceeds the configured cost. Package agent calls Record while a group of
// goroutines is suspicious.
//
// Package golang.org/x/exp/trace reads the recordings. If it does not support the
// format of the running Go version, every call returns [ErrFormat] immediately.
//
// # Risk
//
// Execution tracing unwinds stacks by frame pointers. It has crashed programs with C or
// assembly code that overwrites them (golang/go#69629, #73664, #75478). With
// GODEBUG=tracefpunwindoff=1 it uses a slower method. With GMPULSE_RECORDER=off,
// package agent does not record.
package exectrace
