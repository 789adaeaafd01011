// SPDX-License-Identifier: Apache-2.0

// Package exectrace looks inside with the runtime's own execution trace, which
// knows every goroutine and every moment of it. It owns the one flight recorder
// that a process may have:
//
//	r, err := exectrace.New(exectrace.Config{})
//	recording, err := r.Record(ctx, 3*time.Second) // which ran, what woke them, who created them
//
// and says where the time of spans went, exactly, in any execution trace of a
// program that makes OpenTelemetry spans:
//
//	w, err := exectrace.Analyze(ctx, file, math.MaxInt, func(b *exectrace.Breakdown) {
//		fmt.Println(b.Name, b.Duration, b.Self[exectrace.Runnable], b.Self[exectrace.Mutex])
//	})
//
// [Recorder.WrapExporter] puts that on the slow spans themselves, before they leave.
//
// A [Recorder] records nothing until it is asked to. [Recorder.Record] records for as
// long as asked for; package agent calls it while a group of goroutines is suspicious.
// [Recorder.Run] does as [Config.Mode] says, and stops for a while when that costs too
// much.
//
// Recordings are read with golang.org/x/exp/trace. Where that does not know the
// format of the running Go version there is no exact data: every call then
// returns [ErrFormat] at once, and nothing else changes.
//
// # Risk
//
// Execution tracing unwinds stacks by frame pointers. In programs with C or
// assembly that clobbers them it has crashed (golang/go#69629, #73664, #75478);
// GODEBUG=tracefpunwindoff=1 is the slow way around; GMPULSE_RECORDER=off keeps package
// agent from recording.
package exectrace
