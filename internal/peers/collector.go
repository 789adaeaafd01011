// SPDX-License-Identifier: Apache-2.0

// Package peers runs servers for tests in separate processes.
package peers

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Collector is a running OpenTelemetry Collector, whose program is in directory collector.
type Collector struct {
	OTLPHTTP string `json:"otlp_http"` // addresses, host:port
	OTLPGRPC string `json:"otlp_grpc"`
	Fluent   string `json:"fluent"`

	program, out string
	cmd          *exec.Cmd
}

// Record is one line that the collector wrote. internal/peers/collector/record.go
// describes the fields.
type Record struct {
	Signal, Source, Name string
	Time, Start          json.Number
	TraceID              string `json:"trace_id"`
	SpanID               string `json:"span_id"`
	Attributes, Resource map[string]any
	Scope                string
	Schemas              []string

	Severity     int32
	SeverityText string `json:"severity_text"`
	Body         any

	ParentID string `json:"parent_id"`
	Dropped  uint32 `json:"dropped_attributes"`
	Events   []struct {
		Name       string
		Time       json.Number
		Attributes map[string]any
	}

	Unit, Description, Type, Temporality string
	Monotonic                            bool
	Value                                *float64
	Count                                uint64
	Bounds                               []float64
	Counts                               []uint64
	Exemplars                            []Exemplar

	Profile *Profile
}

// Profile is what only a sample of a profile has.
type Profile struct {
	ID         string
	Period     int64
	PeriodType string `json:"period_type"`
	Payload    string
	Attributes map[string]any
	Values     []int64
	Stack      []string
	Units      map[string]string
}

// Exemplar is one exemplar of a data point.
type Exemplar struct {
	Value      float64
	Time       json.Number
	TraceID    string `json:"trace_id"`
	SpanID     string `json:"span_id"`
	Attributes map[string]any
}

// StartCollector builds the collector, which takes half a minute the first time, and runs
// it until the test ends. If the collector does not build, it skips the test, or in CI
// fails it.
func StartCollector(tb testing.TB) *Collector {
	tb.Helper()
	dir := tb.TempDir()
	c := &Collector{out: filepath.Join(dir, "received.ndjson")}
	c.program = filepath.Join(dir, "collector")
	if runtime.GOOS == "windows" {
		c.program += ".exe"
	}
	build := exec.CommandContext(tb.Context(), "go", "build", "-o", c.program, ".")
	build.Dir = filepath.Join(here(), "collector")
	if out, err := build.CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			tb.Fatalf("the collector does not build: %v: %s", err, out)
		}
		tb.Skipf("the collector is missing: go -C internal/peers/collector mod download (%v: %s)", err, out)
	}
	c.start(tb)
	tb.Cleanup(c.Kill)
	return c
}

// Kill ends the collector with SIGKILL.
func (c *Collector) Kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.cmd.Wait()         // killed
}

// Restart starts the collector after Kill at the same addresses. Records keeps what it
// received before.
func (c *Collector) Restart(tb testing.TB) {
	tb.Helper()
	var flags []string
	for flag, address := range map[string]string{"-otlp-http": c.OTLPHTTP, "-otlp-grpc": c.OTLPGRPC, "-fluent": c.Fluent} {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			tb.Fatal(err)
		}
		flags = append(flags, flag, port)
	}
	c.start(tb, flags...)
}

func (c *Collector) start(tb testing.TB, flags ...string) {
	tb.Helper()
	c.cmd = exec.CommandContext(tb.Context(), c.program, append(flags, "-out", c.out, "-stop-with-stdin")...)
	if _, err := c.cmd.StdinPipe(); err != nil { // open until this process ends
		tb.Fatal(err)
	}
	c.cmd.Stderr = os.Stderr
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		tb.Fatalf("the collector did not start: %v", err)
	}
	if err := json.Unmarshal(line, c); err != nil {
		tb.Fatalf("the collector printed %q: %v", line, err)
	}
}

// Records returns all records that have arrived so far.
func (c *Collector) Records(tb testing.TB) (all []Record) {
	tb.Helper()
	data, err := os.ReadFile(c.out)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var r Record
		if !strings.HasSuffix(line, "\n") {
			break // being written
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			tb.Fatalf("%v in %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// Await waits until n records that match have arrived, and returns all matching ones. It
// fails the test after 30 s.
func (c *Collector) Await(tb testing.TB, n int, match func(*Record) bool) (found []Record) {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		found = found[:0]
		all := c.Records(tb)
		for i := range all {
			if match(&all[i]) {
				found = append(found, all[i])
			}
		}
		if len(found) >= n {
			return found
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%d records of %d wanted after 30 s, %d in all", len(found), n, len(all))
		}
		<-time.After(20 * time.Millisecond)
	}
}

// here returns the directory of this file.
func here() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}
