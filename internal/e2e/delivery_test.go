// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
)

// forwardServer is the npm server. It listens at the same address after each restart.
type forwardServer struct {
	address, received string
	running           atomic.Pointer[process]
}

func startForwardServer(t *testing.T) *forwardServer {
	t.Helper()
	needForwardServer(t)
	s := &forwardServer{address: freeAddress(t), received: filepath.Join(t.TempDir(), "received.ndjson")}
	s.start(t)
	return s
}

func (s *forwardServer) start(t *testing.T) {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.address)
	p := spawn(t, []string{"HOST=" + host, "PORT=" + port, "OUT=" + s.received, "STOP_WITH_STDIN=1"}, "node", "../peers/npm/server.js")
	p.after(t, `{"listening"`)
	s.running.Store(p)
}

func (s *forwardServer) kill() { _ = s.running.Load().cmd.Process.Kill() }

// copies returns how often each record arrived, by id.
func (s *forwardServer) copies(t *testing.T) map[string]int {
	t.Helper()
	data, err := os.ReadFile(s.received)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for line := range strings.Lines(string(data)) {
		var r struct{ ID string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		ids[r.ID]++
	}
	return ids
}

// Application and server are killed repeatedly. Every record that Export accepted arrives,
// and few arrive twice.
//
// GMPULSE_E2E=full runs it with 10,000 snapshots with an event each, 15 kills of the
// application and 5 of the server, which takes about two minutes.
func TestKillsLoseNoRecords(t *testing.T) {
	t.Parallel()
	total, appKills, serverKills := 1000, 3, 2
	if os.Getenv("GMPULSE_E2E") == "full" {
		total, appKills, serverKills = 10_000, 15, 5
	}
	server := startForwardServer(t)
	program := build(t, "./internal/peers/producer")
	dir := t.TempDir()
	accepted := 0
	for app := range appKills + 1 {
		p := spawn(t, nil, program, "-url=tcp://"+server.address, "-dir="+dir,
			"-from="+strconv.Itoa(accepted+1), "-to="+strconv.Itoa(total))
		until := total * (app + 1) / (appKills + 1)
		accepted = follow(t, p, server, until, total, total/(serverKills+1))
		if until == total {
			if p.err != nil {
				t.Fatal(p.err)
			}
			checkAccounts(t, p)
		}
	}
	ids := server.copies(t)
	copies := 0
	for _, n := range ids {
		copies += n - 1
	}
	t.Logf("%d records accepted, %d kills of the application, %d of the server: %d arrived, %d of them copies", 2*total, appKills, serverKills, len(ids)+copies, copies)
	for seq := 1; seq <= total; seq++ {
		if id := fmt.Sprintf("the-one/%s/%d", strconv.FormatInt(1_790_000_000e9, 36), seq); ids[id] == 0 {
			t.Errorf("snapshot %d is lost", seq)
		}
	}
	if len(ids) != 2*total {
		t.Errorf("%d different records arrived, want %d", len(ids), 2*total)
	}
	// A kill of the application repeats what was delivered but not yet recorded as such, a
	// kill of the server the record that is being sent.
	if most := 2 * (appKills*2*16 + serverKills); copies > most {
		t.Errorf("%d copies, want at most %d", copies, most)
	}
}

// After an outage of the server, of three seconds or with GMPULSE_E2E=full a minute, all
// records of that time arrive once.
func TestOutageLosesNoRecords(t *testing.T) {
	t.Parallel()
	outage := 3 * time.Second
	if os.Getenv("GMPULSE_E2E") == "full" {
		outage = time.Minute
	}
	server := startForwardServer(t)
	app := spawn(t, []string{
		"GMPULSE_LISTEN=127.0.0.1:0", "GMPULSE_INTERVAL=100ms", "GMPULSE_FLUENTD=tcp://" + server.address, "GMPULSE_FLUENTD_INTERVAL=100ms",
		"GMPULSE_SPOOL_DIR=" + t.TempDir(), "OTEL_SERVICE_NAME=outage",
	}, build(t, "./examples/quickstart"), "-rate", "50")
	health := app.after(t, "health")
	var h streamHealth
	last := ""
	until := func(what string, ok func() bool) {
		t.Helper()
		eventually(t, what, func() bool {
			h = healthOf(t, health)
			last = h.Snapshots.String()
			return ok()
		}, &last)
	}
	until("something is delivered", func() bool { return h.Snapshots.Delivered > 10 })
	server.kill()
	<-time.After(outage)
	if h = healthOf(t, health); h.State != "failing" || !h.Spool.OnDisk || h.Spool.OldestAge < outage.Seconds()/2 || h.Snapshots.Pending < 10 {
		t.Errorf("during the outage /healthz has %+v", h)
	}
	server.start(t)
	until("all is delivered", func() bool { return h.Snapshots.Pending <= 1 })
	app.interrupt(t)
	fields := strings.Fields(regexp.MustCompile(`(?m)^ *fluentd +\d+ +\d+ +\d+`).FindString(app.output()))
	if len(fields) != 4 {
		t.Fatal("the final table has no line for fluentd")
	}
	ids := server.copies(t)
	copies := 0
	for _, n := range ids {
		copies += n - 1
	}
	t.Logf("outage of %v: accepted %s, delivered %s, dropped %s; %d different records arrived, and %d copies", outage, fields[1], fields[2], fields[3], len(ids), copies)
	if fields[2] != strconv.Itoa(len(ids)) || copies > 2 {
		t.Errorf("%d different records arrived and %d copies, the agent delivered %s", len(ids), copies, fields[2])
	}
	if dropped, err := strconv.Atoi(fields[3]); err != nil || dropped*10 > len(ids) { // in the mailbox, on a busy machine
		t.Errorf("%s records were dropped", fields[3])
	}
}

// streamHealth is the part of /healthz about one exporter.
type streamHealth struct {
	Name, State string
	Snapshots   counts
	Spool       struct {
		OldestAge float64 `json:"oldest_age_seconds"`
		OnDisk    bool    `json:"on_disk"`
	}
}

type counts struct{ Accepted, Delivered, Pending int }

func (c counts) String() string {
	return fmt.Sprintf("accepted %d, delivered %d, pending %d", c.Accepted, c.Delivered, c.Pending)
}

func healthOf(t *testing.T, address string) streamHealth {
	t.Helper()
	var h struct{ Exporters []streamHealth }
	_, body := get(t, address)
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	for _, e := range h.Exporters {
		if e.Name == "fluentd" {
			return e
		}
	}
	t.Fatalf("no stream in %s", body)
	return streamHealth{}
}

// follow reads the output of a producer until it ends, and kills it after the snapshot
// until, unless that is the last. It kills and restarts the server after every each
// snapshots. It returns the last snapshot that was accepted.
func follow(t *testing.T, p *process, server *forwardServer, until, total, each int) (accepted int) {
	t.Helper()
	var restart <-chan time.Time
	for {
		select {
		case <-restart:
			restart = nil
			server.start(t)
		case line, ok := <-p.lines:
			if !ok {
				<-p.done
				if restart != nil {
					server.start(t)
				}
				return accepted
			}
			seq, isAccepted := strings.CutPrefix(line, "accepted ")
			if !isAccepted {
				continue
			}
			accepted, _ = strconv.Atoi(seq)
			if accepted >= until && until < total {
				_ = p.cmd.Process.Kill() // it may have ended
			}
			if accepted%each == 0 && accepted < total && restart == nil {
				server.kill()
				restart = time.After(500 * time.Millisecond)
			}
		}
	}
}

// checkAccounts checks the last line of a producer that was not killed: it delivered all
// that it accepted.
func checkAccounts(t *testing.T, p *process) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(p.output()), "\n")
	var s exporters.Stats
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
		t.Fatalf("%v in %s", err, lines[len(lines)-1])
	}
	for name, a := range map[string]exporters.Account{"snapshots": s.Snapshots, "events": s.Events} {
		if a.Accepted != a.Delivered+a.Lost()+a.Pending || a.Lost() != 0 || a.Pending != 0 {
			t.Errorf("%s: %+v", name, a)
		}
	}
}
