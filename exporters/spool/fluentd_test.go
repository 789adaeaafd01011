// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/peers/forward"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// newClient returns a client with short timeouts.
func newClient(t *testing.T, url string) *fluentd.Exporter {
	t.Helper()
	c, err := fluentd.New(fluentd.Config{URL: url, Timeout: time.Second, WriteTimeout: 300 * time.Millisecond, AckTimeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConformanceOfFluentd(t *testing.T) {
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		dir := t.TempDir()
		return ended(t, newClient(t, forward.New(t, forward.Ack).URL()), dir)
	})
}

// Whatever a server did with earlier records, all of them arrive once it works.
func TestRecordsArriveOnceTheServerRecovers(t *testing.T) {
	const records = 5
	for name, mode := range map[string]forward.Mode{
		"hang": forward.Hang, "no ack": forward.NoAck, "reset": forward.Reset, "ack lost": forward.DropUnacked,
		"wrong ack": forward.WrongAck, "closes at once": forward.CloseAtOnce, "one per connection": forward.OnePerConn,
		"shared key": forward.SharedKey, "not a forward server": forward.SpeaksFirst, "refuses": -1,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := forward.New(t, max(mode, 0))
			if mode < 0 {
				p.Stop()
			}
			x, _ := newSpool(t, newClient(t, p.URL()), spool.Config{})
			for seq := 1; seq <= records; seq++ {
				export(t, x, snapshot(seq, "e"))
			}
			testutil.Eventually(t, "it was tried twice", func() bool {
				s := balanced(t, x)
				return s.Errors+s.Timeouts > 1 || mode == forward.OnePerConn && s.Snapshots.Delivered == records
			})
			if mode < 0 {
				p.Start(t)
			}
			p.Behave(forward.Ack)
			if s := stop(t, x, longDeadline); s.Snapshots.Delivered != records || s.Events.Delivered != records {
				t.Errorf("%+v", s)
			}
			ids := map[any]bool{}
			for _, e := range p.Received() {
				ids[e.Record["id"]] = true
			}
			if len(ids) != 2*records {
				t.Errorf("%d different records arrived, want %d", len(ids), 2*records)
			}
		})
	}
}

// Unusual numbers and texts arrive in a form that the server accepts, and do not delay other
// records.
func TestUnusualValuesAreDelivered(t *testing.T) {
	p := forward.New(t, forward.Ack)
	x, _ := newSpool(t, newClient(t, p.URL()), spool.Config{Dir: t.TempDir()})
	long := strings.Repeat("é", 1<<20)
	gauge := &runtimeinfo.Metric{Name: "queue.depth", Kind: runtimeinfo.KindGauge}
	s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: gauge, Number: math.NaN()})
	s.Resource = []runtimeinfo.Attr{{Key: "broken", Value: "bad \xff"}}
	s.Events = []runtimeinfo.Event{{Name: "poison", Attrs: []slog.Attr{
		slog.Float64("nan", math.NaN()), slog.Float64("inf", math.Inf(1)), slog.String("broken", "bad \xff"), slog.Any("nil", nil),
		slog.String("long", long), slog.Any("bytes", []byte{0xff}), slog.Any("func", func() {}), slog.Time("time", time.Unix(1, 0).UTC()),
	}}}
	export(t, x, s, snapshot(2))
	st := stop(t, x, longDeadline)
	if st.Snapshots.Delivered != 2 || st.Events.Delivered != 1 || st.Errors != 0 {
		t.Errorf("%+v", st)
	}
	got := p.Received()
	if len(got) != 3 {
		t.Fatalf("%d records arrived", len(got))
	}
	attrs, _ := got[0].Record["attributes"].(map[string]any)
	if text, _ := attrs["long"].(string); len(text) > 32<<10 || len(text) < 30<<10 {
		t.Errorf("a text of 2 MiB arrived with %d bytes", len(text))
	}
	if attrs["broken"] != "bad \uFFFD" || attrs["nan"] != nil || attrs["inf"] != nil || attrs["time"] != "1970-01-01T00:00:01Z" {
		t.Errorf("attributes %v", attrs)
	}
	if _, there := got[1].Record["queue.depth"]; there {
		t.Error("NaN arrived")
	}
}
