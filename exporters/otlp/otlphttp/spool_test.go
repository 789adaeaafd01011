// SPDX-License-Identifier: Apache-2.0

package otlphttp_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/otlp/otlphttp"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/peers"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// otlpSpool is a spool in front of the SDK's OTLP exporters.
func otlpSpool(t *testing.T, endpoint string) *spool.Exporter {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	next, err := otlphttp.New(t.Context(), otlphttp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := spool.New(next, spool.Config{Name: "otlp", Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// numbered has its seq as the value of a gauge and the message of an event.
func numbered(seq int) *runtimeinfo.Snapshot {
	gauge := &runtimeinfo.Metric{Name: "test.seq", Unit: "1", Kind: runtimeinfo.KindGauge, Help: "A number."}
	s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: gauge, Number: float64(seq)})
	s.Seq, s.Time, s.Start = uint64(seq), time.Unix(1_790_000_000+int64(seq), 0), time.Unix(1_790_000_000, 0)
	s.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: "numbered"}}
	s.Events = []runtimeinfo.Event{{Time: s.Time, Name: "test.event", Message: strconv.Itoa(seq)}}
	return s
}

func closeOTLP(t *testing.T, x *spool.Exporter) exporters.Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := x.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	s := x.ExporterStats()
	for name, a := range map[string]exporters.Account{"snapshots": s.Snapshots, "events": s.Events} {
		if a.Accepted != a.Delivered+a.Lost()+a.Pending {
			t.Errorf("%s do not balance: %+v", name, a)
		}
	}
	return s
}

// The Collector's OTLP receiver goes away in the middle. The SDK's exporter does not
// try again when a connection is refused; the spool does.
func TestCollectorOTLP(t *testing.T) {
	const total = 60
	c := peers.StartCollector(t)
	x := otlpSpool(t, "http://"+c.OTLPHTTP)
	for seq := 1; seq <= total; seq++ {
		if seq == total/3 {
			c.Kill()
		}
		if err := x.Export(t.Context(), numbered(seq)); err != nil {
			t.Fatal(err)
		}
		if err := x.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(x.ExporterStats().LastError, "refused") { // of the first attempt it may be a connection cut off
		if time.Now().After(deadline) {
			t.Fatalf("no attempt was refused within a minute; the last error is %q", x.ExporterStats().LastError)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if s := x.ExporterStats(); s.Snapshots.Pending < total/3 {
		t.Errorf("while the collector is away: %+v", s)
	}
	c.Restart(t)
	if s := closeOTLP(t, x); s.Snapshots.Delivered != total || s.Events.Delivered != total {
		t.Errorf("%+v", s)
	}
	values, events := map[float64]int{}, map[any]int{}
	c.Await(t, 2*total, func(r *peers.Record) bool {
		return r.Name == "test.seq" && r.Value != nil || r.Signal == "log"
	})
	records := c.Records(t)
	for i := range records {
		switch r := &records[i]; {
		case r.Name == "test.seq" && r.Value != nil:
			values[*r.Value]++
		case r.Signal == "log":
			events[r.Body]++
		}
	}
	if len(values) != total || len(events) != total {
		t.Errorf("%d different values and %d different events arrived, want %d", len(values), len(events), total)
	}
}

// What a server refuses out of what it otherwise took is counted, and never sent
// again.
func TestPartialSuccess(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		if r.URL.Path == "/v1/metrics" {
			requests.Add(1)
			// partial_success: rejected_data_points 1, error_message "no"
			_, _ = w.Write([]byte{0x0a, 0x06, 0x08, 0x01, 0x12, 0x02, 'n', 'o'})
		}
	}))
	defer server.Close()
	x := otlpSpool(t, server.URL)
	for seq := 1; seq <= 3; seq++ {
		if err := x.Export(t.Context(), numbered(seq)); err != nil {
			t.Fatal(err)
		}
	}
	s := closeOTLP(t, x)
	if n := requests.Load(); n != 3 {
		t.Errorf("%d requests for 3 snapshots", n)
	}
	if s.Snapshots.Dropped(exporters.DropRejected)+s.Snapshots.Delivered != 3 || s.Events.Delivered != 3 || s.Errors != 3 {
		t.Errorf("%+v", s)
	}
}
