// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"log/slog"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestDroppedSlowEventsAreReported(t *testing.T) {
	var q slowEvents
	for i := range 20 {
		q.add(runtimeinfo.Event{Message: strconv.Itoa(i)})
	}
	list := q.take(time.Now())
	if len(list) != 17 || list[0].Message != "4" || list[16].Name != "recorder.events_dropped" || list[16].Attrs[0].Value.Int64() != 4 {
		t.Errorf("%d events, from %+v to %+v", len(list), list[0], list[len(list)-1])
	}
	if again := q.take(time.Now()); len(again) != 0 {
		t.Errorf("reported twice: %+v", again)
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
