// SPDX-License-Identifier: Apache-2.0

package otlpprofiles_test

import (
	"bytes"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/profiles/v1development"
	"google.golang.org/protobuf/proto"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/otlp/otlpprofiles"
	"github.com/gmpulse/gmpulse/internal/testutil"
)

func enqueue(t *testing.T, e *otlpprofiles.Exporter, kinds ...string) {
	t.Helper()
	for _, kind := range kinds {
		e.Enqueue(kind, time.Time{}, time.Time{}, cpuProfile(t))
	}
}

// A request that the server is too busy for is sent again as it was.
func TestRetry(t *testing.T) {
	var n atomic.Int32
	s := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var lines log
	e := newExporter(t, s.URL, otlpprofiles.Config{Logger: lines.logger()})
	began := time.Now()
	enqueue(t, e, "cpu", "heap")
	testutil.Eventually(t, "both profiles are delivered", func() bool { return balance(t, e).Delivered == 2 })
	if d := time.Since(began); d < time.Second {
		t.Errorf("sent again after %v, before the server allows it", d)
	}
	if got := s.kinds(); !slices.Equal(got, []string{"cpu", "cpu", "heap"}) || !bytes.Equal(s.bodies[0], s.bodies[1]) {
		t.Errorf("%v; the same body %v", got, bytes.Equal(s.bodies[0], s.bodies[1]))
	}
	if stats := e.ExporterStats(); stats.State != exporters.StateOK || stats.Errors != 1 || lines.count("exporter fails") != 1 || lines.count("works again") != 1 {
		t.Errorf("%+v\n%s", stats, lines.lines.String())
	}
}

// Another attempt after a permanent error would fail too.
func TestRejected(t *testing.T) {
	var status atomic.Int32
	s := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte("\x08\x03\x12\x0bbad profile")) // a google.rpc.Status
	})
	e := newExporter(t, s.URL+"/secret", otlpprofiles.Config{})
	for i, code := range []int{301, 400, 401, 404, 413, 500, 501} {
		status.Store(int32(code))
		err := send(t, e, "cpu", cpuProfile(t))
		if !strings.Contains(err, strconv.Itoa(code)) || !strings.HasSuffix(err, ": bad profile") || strings.Contains(err, "secret") {
			t.Errorf("%d: %s", code, err)
		}
		if n := len(s.received()); n != i+1 {
			t.Errorf("%d: %d requests, want %d", code, n, i+1)
		}
	}
	if a := balance(t, e); a.Dropped(exporters.DropRejected) != 7 {
		t.Errorf("%+v", a)
	}
}

// What a server refuses of a request is counted, logged once and not sent again.
func TestPartialSuccess(t *testing.T) {
	var rejected atomic.Int64
	s := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
		answer, err := proto.Marshal(&collectorpb.ExportProfilesServiceResponse{
			PartialSuccess: &collectorpb.ExportProfilesPartialSuccess{RejectedProfiles: rejected.Load(), ErrorMessage: "too old"},
		})
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(answer)
	})
	var lines log
	e := newExporter(t, s.URL, otlpprofiles.Config{Logger: lines.logger()})
	for i, test := range []struct {
		rejected             int64
		delivered, discarded uint64
	}{{0, 1, 0}, {1, 2, 0}, {2, 2, 1}, {2, 2, 2}} {
		rejected.Store(test.rejected)
		err := send(t, e, "cpu", cpuProfile(t))
		if a := balance(t, e); err == "" || a.Delivered != test.delivered || a.Dropped(exporters.DropRejected) != test.discarded {
			t.Errorf("%d: %v, %+v", i, err, a)
		}
	}
	stats := e.ExporterStats()
	if n := len(s.received()); n != 4 || stats.Errors != 4 || stats.State != exporters.StateOK || lines.count("too old") != 1 || lines.count("") != 1 {
		t.Errorf("%d requests, %+v\n%s", n, stats, lines.lines.String())
	}
}

// A server that never answers delays no caller: the queue drops the oldest profiles, one line is logged, and Shutdown
// returns by its deadline.
func TestServerHangs(t *testing.T) {
	release := make(chan struct{})
	s := startServer(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	var lines log
	data := cpuProfile(t)
	e := newExporter(t, s.URL, otlpprofiles.Config{Timeout: 20 * time.Millisecond, MaxBytes: 4 * int64(len(data)), Logger: lines.logger()})
	for range 20 {
		e.Enqueue("cpu", time.Time{}, time.Time{}, data)
	}
	testutil.Eventually(t, "two attempts have timed out", func() bool { return e.ExporterStats().Timeouts >= 2 })
	stats := e.ExporterStats()
	// One profile may be on its way. What comes back to a full queue is the oldest.
	if a := balance(t, e); a.Pending > 5 || a.Dropped(exporters.DropOverflow) < 15 || stats.State != exporters.StateFailing || stats.Spool.Bytes > 4*int64(len(data)) {
		t.Errorf("%+v, %+v", a, stats.Spool)
	}
	shutdown(t, e, 2*time.Second) // fails if Shutdown does not return by the deadline
	if a := balance(t, e); a.Pending != 0 || a.Dropped(exporters.DropShutdown) == 0 || a.Accepted != 20 {
		t.Errorf("%+v", a)
	}
	if n := lines.count("exporter fails"); n != 1 || lines.count("") != 1 {
		t.Errorf("%d lines\n%s", n, lines.lines.String())
	}
}

// While the server is down, the newest profiles are kept. They are delivered in order when it is up again.
func TestServerIsDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var lines log
	data := cpuProfile(t)
	e := newExporter(t, "http://"+address, otlpprofiles.Config{MaxBytes: 4*int64(len(data)) - 1, Logger: lines.logger()})
	for i := range 6 {
		e.Enqueue(strconv.Itoa(i), time.Time{}, time.Time{}, data)
	}
	testutil.Eventually(t, "three profiles remain", func() bool {
		a := balance(t, e)
		return a.Pending == 3 && e.ExporterStats().Errors > 0
	})
	s := &server{}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Skipf("another process has taken the port: %v", err)
	}
	again := &http.Server{Handler: s}
	go again.Serve(l)
	defer again.Close()
	testutil.Eventually(t, "three profiles are delivered", func() bool { return balance(t, e).Delivered == 3 })
	if got := s.kinds(); !slices.Equal(got, []string{"3", "4", "5"}) {
		t.Errorf("received %v", got)
	}
	if lines.count("exporter fails") != 1 || lines.count("works again") != 1 || lines.count("") != 2 {
		t.Errorf("%s", lines.lines.String())
	}
}

// A profile that is larger than the queue is dropped, and does not stop the others.
func TestLargeProfile(t *testing.T) {
	s := startServer(t, nil)
	small := cpuProfile(t)
	e := newExporter(t, s.URL, otlpprofiles.Config{MaxBytes: int64(len(small))})
	p := cpu()
	p.Comments = []string{strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 1000)}
	for i := range 5000 {
		p.Sample = append(p.Sample, p.Sample[0])
		p.Comments = append(p.Comments, strconv.Itoa(i*i*i))
	}
	large := encoded(t, p)
	if len(large) <= len(small) {
		t.Fatalf("%d bytes, %d bytes", len(large), len(small))
	}
	e.Enqueue("large", time.Time{}, time.Time{}, large)
	e.Enqueue("small", time.Time{}, time.Time{}, small)
	testutil.Eventually(t, "one profile is delivered", func() bool { return balance(t, e).Delivered == 1 })
	if a, got := balance(t, e), s.kinds(); !slices.Equal(got, []string{"small"}) || a.Dropped(exporters.DropOverflow) != 1 {
		t.Errorf("%v, %+v", got, a)
	}
}

// Shutdown sends what is in the queue.
func TestShutdownDelivers(t *testing.T) {
	s := startServer(t, nil)
	e := newExporter(t, s.URL, otlpprofiles.Config{})
	enqueue(t, e, "a", "b", "c", "d")
	shutdown(t, e, 10*time.Second)
	if got := s.kinds(); !slices.Equal(got, []string{"a", "b", "c", "d"}) || balance(t, e).Delivered != 4 || e.ExporterStats().State != exporters.StateStopped {
		t.Errorf("%v, %+v", got, e.ExporterStats())
	}
}
