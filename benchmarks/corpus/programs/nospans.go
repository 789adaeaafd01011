// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"time"

	"example.com/corpus/kit"
)

// withoutSpans leaks in a program without spans: a timeout leaves its worker behind,
// as in the Go blog's "Go Concurrency Patterns: Timing out, moving on", whose channel
// has a buffer for that reason.
func withoutSpans() kit.Program {
	return kit.Program{Name: "leak-without-spans", Library: "the language", Spans: kit.None, Want: kit.Leak("", "programs.askSlowly", "programs.lookUp"), Run: func(w *kit.World) {
		w.ServeRoute("", 3, func(context.Context) { lookUp() })
	}}
}

func lookUp() {
	answer := make(chan string)
	go askSlowly(answer)
	select {
	case <-answer:
	case <-time.After(time.Millisecond):
	}
}

func askSlowly(answer chan<- string) {
	time.Sleep(20 * time.Millisecond)
	answer <- "late"
}
