// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/peers/forward"
	"github.com/gmpulse/gmpulse/internal/testutil"
)

// fluentdStats returns the statistics of the Fluentd exporter.
func fluentdStats(t testing.TB, s engine.Stats) exporters.Stats {
	t.Helper()
	return statsOf(t, s, "fluentd")
}

// statsOf returns the statistics of an exporter.
func statsOf(t testing.TB, s engine.Stats, exporter string) exporters.Stats {
	t.Helper()
	for _, e := range s.Exporters {
		if e.Name == exporter {
			return e
		}
	}
	t.Fatalf("no exporter %s", exporter)
	return exporters.Stats{}
}

// watch asserts every millisecond that the statistics of all exporters balance, until the test
// calls end.
func watch(t *testing.T, stats func() engine.Stats) (end func()) {
	t.Helper()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(time.Millisecond); ; {
			for _, e := range stats().Exporters {
				for name, a := range map[string]exporters.Account{"snapshots": e.Snapshots, "events": e.Events} {
					if a.Accepted != a.Delivered+a.Lost()+a.Pending || a.Pending > 1<<40 {
						t.Errorf("%s of %s do not balance: %+v", name, e.Name, a)
						return
					}
				}
			}
			select {
			case <-tick.C:
			case <-done:
				tick.Stop()
				return
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// If the Fluentd server accepts connections and never reads, the engine ticks as often as one
// without Fluentd, answers 20 concurrent scrapes, keeps its statistics balanced, and Stop
// returns by its deadline.
func TestFluentdThatNeverReads(t *testing.T) {
	p := forward.New(t, forward.Hang)
	var log lines
	logger := slog.New(slog.NewTextHandler(&log, nil))
	server, err := fluentd.New(fluentd.Config{URL: p.URL(), WriteTimeout: 200 * time.Millisecond, AckTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	spooled, err := spool.New(server, spool.Config{Dir: t.TempDir(), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	hung, url := scraped(t, engine.WithQueue("fluentd", spooled, spooled.ExporterStats, engine.EveryTick()), engine.WithLogger(logger))
	plain, _ := scraped(t)
	unwatch := watch(t, hung.Stats)
	before, plainBefore := hung.Stats().Ticks, plain.Stats().Ticks
	answered := scrape(t, url, 20, 2*time.Second)
	ticks, plainTicks := hung.Stats().Ticks-before, plain.Stats().Ticks-plainBefore
	if err := plain.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("%d ticks, %d of an engine without Fluentd, %d scrapes", ticks, plainTicks, answered)
	// Only this engine is scraped, which costs ticks on a busy machine. If it waited for Fluentd, it would have
	// at most ten.
	if ticks*10 < plainTicks*4 {
		t.Errorf("%d ticks, an engine without Fluentd had %d", ticks, plainTicks)
	}
	s := fluentdStats(t, hung.Stats())
	if s.State != exporters.StateFailing || s.Snapshots.Delivered != 0 || s.Spool == nil || !s.Spool.OnDisk {
		t.Errorf("%+v, %+v", s, s.Spool)
	}
	// On a busy machine the goroutine of every exporter is late, so the limit depends on the
	// Prometheus exporter, which does nothing.
	pull := statsOf(t, hung.Stats(), "prometheus").Snapshots
	if n, m := s.Snapshots.Dropped(exporters.DropReplaced), pull.Dropped(exporters.DropReplaced); n > m+s.Snapshots.Accepted/5 {
		t.Errorf("%d of %d snapshots were replaced, %d of the Prometheus exporter: the spool is slow", n, s.Snapshots.Accepted, m)
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := hung.Stop(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) { // possible on a busy machine
		t.Error(err)
	}
	if took := time.Since(begin); took > 2500*time.Millisecond {
		t.Errorf("Stop took %v", took)
	}
	unwatch()
	if s := fluentdStats(t, hung.Stats()); s.Snapshots.Pending == 0 || s.Snapshots.Dropped(exporters.DropShutdown) > 2 { // the last ones, if Stop reached its deadline
		t.Errorf("undelivered snapshots are not on disk: %+v", s)
	}
	if n := strings.Count(log.String(), "exporter fails"); n != 1 {
		t.Errorf("%d lines about the failure, want 1:\n%s", n, log.String())
	}
	end, cancelEnd := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancelEnd()
	if err := spooled.Shutdown(end); err != nil { // before the test removes the directory
		t.Error(err)
	}
}

// scraped starts an engine with an interval of 10 ms and returns the URL of its metrics.
func scraped(t *testing.T, opts ...engine.Option) (e *engine.Engine, url string) {
	t.Helper()
	metrics, err := prom.New(prom.Config{})
	if err != nil {
		t.Fatal(err)
	}
	e, err = engine.New(append([]engine.Option{
		engine.WithInterval(10 * time.Millisecond), engine.WithLogger(slog.New(slog.DiscardHandler)),
		engine.WithExporter("prometheus", metrics, engine.EveryTick()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(metrics.Handler())
	t.Cleanup(server.Close)
	return e, server.URL
}

// scrape sends requests from several clients for a while and returns the number of responses.
func scrape(t *testing.T, url string, clients int, during time.Duration) (answered int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable { // too many at once
					t.Error(resp.Status)
				}
				mu.Lock()
				answered++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return answered
}

// If connections to Fluentd hang, Start, the ticks and Stop do not wait for them.
func TestFluentdThatDoesNotAnswer(t *testing.T) {
	const timeout = 20 * time.Second // of a dial; longer than the limits below
	begin := time.Now()
	a, _ := start(t, agent.WithFluentd(fluentd.Config{URL: "tcp://" + unreachable(t), Timeout: timeout}, engine.EveryTick()))
	if took := time.Since(begin); took > timeout/2 {
		t.Errorf("Start took %v", took)
	}
	testutil.Eventually(t, "the agent ticks", func() bool { return a.Stats().Ticks > 20 })
	begin = time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := a.Stop(ctx); err != nil && !strings.Contains(err.Error(), "fluentd") {
		t.Error(err)
	}
	if took := time.Since(begin); took > 2500*time.Millisecond {
		t.Errorf("Stop took %v", took)
	}
	s := fluentdStats(t, a.Stats())
	if s.Snapshots.Dropped(exporters.DropShutdown) == 0 || s.Snapshots.Pending != 0 {
		t.Errorf("%+v", s)
	}
}

// If the Fluentd server requires a shared key, /healthz and one log line report it, and the
// agent keeps the records.
func TestFluentdThatRequiresASharedKey(t *testing.T) {
	p := forward.New(t, forward.SharedKey)
	a, log := start(t, agent.WithFluentd(fluentd.Config{URL: p.URL()}, engine.EveryTick()))
	defer watch(t, a.Stats)()
	testutil.Eventually(t, "the error is counted", func() bool { return fluentdStats(t, a.Stats()).Errors > 1 })
	var h struct {
		Exporters []struct {
			Name, State string
			LastError   string `json:"last_error"`
			Spool       *struct {
				OldestAge float64 `json:"oldest_age_seconds"`
			}
		}
	}
	if err := json.Unmarshal([]byte(page(t, a.URL()+"healthz")), &h); err != nil {
		t.Fatal(err)
	}
	for _, e := range h.Exporters {
		if e.Name == "fluentd" && (e.State != "failing" || !strings.Contains(e.LastError, "server requires shared_key") || e.Spool == nil || e.Spool.OldestAge == 0) {
			t.Errorf("/healthz has %+v", e)
		}
	}
	if n := strings.Count(log.String(), "shared_key"); n != 1 {
		t.Errorf("%d lines about the failure, want 1", n)
	}
	if s := fluentdStats(t, a.Stats()); s.Snapshots.Lost() != s.Snapshots.Dropped(exporters.DropReplaced) {
		t.Errorf("%+v", s)
	}
	p.Behave(forward.Ack)
	testutil.Eventually(t, "all is delivered", func() bool {
		s := fluentdStats(t, a.Stats())
		return s.Snapshots.Delivered > 0 && s.Snapshots.Pending <= 1
	})
}

func page(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// An agent delivers the snapshots that an earlier agent left in the spool directory while the
// server was down, and delivers every snapshot once.
func TestSpoolOfAnEarlierAgentIsDelivered(t *testing.T) {
	p := forward.New(t, forward.Ack)
	url := p.URL()
	p.Stop()
	dir := filepath.Join(t.TempDir(), "spool")
	var left exporters.Stats
	for turn := range 2 {
		if turn == 1 {
			p.Start(t)
		}
		a, _ := start(t, agent.WithFluentd(fluentd.Config{URL: url}, engine.EveryTick()), agent.WithSpool(spool.Config{Dir: dir}))
		testutil.Eventually(t, "the agent ticks", func() bool { return a.Stats().Ticks > 20 })
		ctx, cancel := context.WithTimeout(t.Context(), []time.Duration{4 * time.Second, 30 * time.Second}[turn])
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		s := fluentdStats(t, a.Stats())
		if turn == 0 {
			left = s
			continue
		}
		if s.Snapshots.Recovered != left.Snapshots.Pending || s.Snapshots.Pending != 0 || s.Snapshots.Lost() != s.Snapshots.Dropped(exporters.DropReplaced) {
			t.Errorf("left %+v, then %+v", left.Snapshots, s.Snapshots)
		}
		ids, runs := map[any]bool{}, map[any]bool{}
		for _, e := range p.Received() {
			ids[e.Record["id"]], runs[e.Record["resource.service.instance.id"]] = true, true
		}
		if n := uint64(len(ids)); n != s.Snapshots.Delivered+s.Events.Delivered || len(runs) != 2 {
			t.Errorf("%d records of %d agents arrived, %d were delivered", n, len(runs), s.Snapshots.Delivered)
		}
	}
}

// unreachable returns the address of a listener whose backlog is full, so that connections to
// it hang.
func unreachable(t *testing.T) string {
	t.Helper()
	address := listenWithoutBacklog(t)
	for range 20 {
		c, err := (&net.Dialer{Timeout: 300 * time.Millisecond}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Skip(fmt.Sprint("this system accepts connections beyond the backlog: ", address))
	return ""
}
