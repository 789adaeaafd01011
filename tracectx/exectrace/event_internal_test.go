// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"log/slog"
	"runtime"
	"strconv"
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Without an engine the events stay in the recorder. The spans are analyzed all the same, and an engine that comes
// later gets the first events.
func TestSlowEventsAreBounded(t *testing.T) {
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxSlowEvents + 4 {
		r.notifySlow(&Breakdown{Name: strconv.Itoa(i)}, nil)
	}
	catalogue, err := runtimeinfo.NewCatalogue(r.Metrics()...)
	if err != nil {
		t.Fatal(err)
	}
	d := runtimeinfo.NewBuilder(catalogue, runtimeinfo.Snapshot{}).Draft()
	r.Analyze(d)
	if n := len(d.Events); n != maxSlowEvents || d.Events[0].Spans[0].Name != "0" {
		t.Errorf("%d events, the first of %q", n, d.Events[0].Spans[0].Name)
	}
	r.Analyze(d)
	if n := len(d.Events); n != maxSlowEvents {
		t.Errorf("an event was reported twice: there are %d", n)
	}
}

// The function of NotifySlow may even end its goroutine: the spans are exported afterwards.
func TestNotifySlowOutlivesTheFunction(t *testing.T) {
	r, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(runtimeinfo.Event, []byte){
		"none":   nil,
		"panic":  func(runtimeinfo.Event, []byte) { panic("foreign") },
		"Goexit": func(runtimeinfo.Event, []byte) { runtime.Goexit() },
	} {
		returned, done := false, make(chan struct{})
		r.NotifySlow(f)
		go func() {
			defer close(done)
			r.notifySlow(&Breakdown{}, nil)
			returned = true
		}()
		if <-done; !returned {
			t.Errorf("%s: notifySlow did not return", name)
		}
	}
}
