// SPDX-License-Identifier: Apache-2.0

// Command fleet simulates a fleet that Prometheus scrapes, and measures whether the command
// "gmpulse fleet" names the version that leaks, and what the fleet costs Prometheus:
//
//	go -C benchmarks run ./fleet                            # 1,000 instances, a tenth of which get a new version
//	go -C benchmarks run ./fleet -interval 10s -hold 20m    # measures the size on disk, too
//	go -C benchmarks run ./fleet -quick                     # 100 instances scraped every 2 s, as in CI
//
// All instances are served by one process. Each answers with what a real agent in this process
// serves, with values, resource attributes and findings of its own. It needs Debian's package
// prometheus.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	var c config
	flag.IntVar(&c.instances, "instances", 1000, "number of instances")
	flag.DurationVar(&c.interval, "interval", 15*time.Second, "scrape interval")
	flag.DurationVar(&c.hold, "hold", 0, "how long the fleet runs before its costs are measured; a chunk on disk has 120 samples")
	quick := flag.Bool("quick", false, "100 instances, scraped every 2 s")
	flag.Parse()
	if *quick {
		c.instances, c.interval = 100, 2*time.Second
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, c)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

type config struct {
	instances int
	interval  time.Duration
	hold      time.Duration
}

func run(ctx context.Context, c config) error {
	dir, err := os.MkdirTemp("", "gmpulse-fleet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	command := filepath.Join(dir, "gmpulse")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", command, "github.com/gmpulse/gmpulse/cmd/gmpulse").CombinedOutput(); err != nil {
		return fmt.Errorf("build gmpulse: %w\n%s", err, out)
	}
	f, err := newFleet(c.instances)
	if err != nil {
		return err
	}
	defer f.close()
	p, err := startPrometheus(ctx, dir, c, f)
	if err != nil {
		return err
	}
	defer p.stop()
	b := bench{config: c, fleet: f, prometheus: p, command: command}
	return b.run(ctx)
}

// bench is one measurement.
type bench struct {
	config
	fleet      *fleet
	prometheus *prometheus
	command    string
}

func (b *bench) run(ctx context.Context) error {
	if err := b.await(ctx, "all instances are scraped", 4*b.interval+time.Minute, func(r *report) bool { return r.instances("") == b.instances }); err != nil {
		return err
	}
	if r, err := b.ask(ctx); err != nil {
		return err
	} else if n := r.leaking(""); n != 0 {
		return fmt.Errorf("%d instances leak before one does", n)
	}
	updated := b.fleet.deploy()
	fmt.Printf("%d of %d instances have version %s now\n", updated, b.instances, newVersion)
	if err := b.await(ctx, "the new version is scraped", 4*b.interval+time.Minute, func(r *report) bool { return r.instances(newVersion) == updated }); err != nil {
		return err
	}
	b.fleet.leak()
	verdict := time.Now()
	if err := b.await(ctx, "the version that leaks is named", 4*b.interval+time.Minute, func(r *report) bool { return r.leaking(newVersion) > 0 }); err != nil {
		return err
	}
	named := time.Since(verdict)
	if err := b.await(ctx, "all its instances are counted", 4*b.interval+time.Minute, func(r *report) bool { return r.leaking(newVersion) == updated }); err != nil {
		return err
	}
	counted := time.Since(verdict)
	r, err := b.ask(ctx)
	if err != nil {
		return err
	}
	if n := r.leaking(oldVersion); n != 0 || len(r.Worst) == 0 {
		return fmt.Errorf("%d instances of the version that does not leak are reported, and %d worst ones", n, len(r.Worst))
	}
	fmt.Printf("\n%-44s %v after the verdict (%.1f scrape intervals)\n", "first instance of the version reported", named.Round(100*time.Millisecond), named.Seconds()/b.interval.Seconds())
	fmt.Printf("%-44s %v after the verdict (%.1f scrape intervals)\n", "all instances reported", counted.Round(100*time.Millisecond), counted.Seconds()/b.interval.Seconds())
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(b.hold):
	}
	if err := b.costs(ctx); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, b.command, "fleet", "-prometheus", b.prometheus.url, "-top", "3").CombinedOutput()
	fmt.Printf("\n$ gmpulse fleet -prometheus URL -top 3\n%s", out)
	if err != nil {
		return err
	}
	if limit := 2 * b.interval; named > limit+5*time.Second {
		return fmt.Errorf("the version was named %v after the verdict; the limit is two scrape intervals", named)
	}
	return nil
}

// report is the part of the output of "gmpulse fleet -json" that the measurement needs.
type report struct {
	Versions []struct {
		Version   string `json:"version"`
		Instances int    `json:"instances"`
		Leaking   int    `json:"leaking_instances"`
	} `json:"versions"`
	Worst []struct {
		Site string `json:"site"`
	} `json:"worst"`
}

// instances returns the number of instances of a version, or of all if version is empty.
func (r *report) instances(version string) (n int) {
	for _, v := range r.Versions {
		if version == "" || v.Version == version {
			n += v.Instances
		}
	}
	return n
}

// leaking returns the number of instances of a version that leak, or of all.
func (r *report) leaking(version string) (n int) {
	for _, v := range r.Versions {
		if version == "" || v.Version == version {
			n += v.Leaking
		}
	}
	return n
}

// ask runs gmpulse fleet.
func (b *bench) ask(ctx context.Context) (*report, error) {
	var out, diagnostics bytes.Buffer
	cmd := exec.CommandContext(ctx, b.command, "fleet", "-prometheus", b.prometheus.url, "-json")
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("gmpulse fleet: %w: %s", err, diagnostics.String())
	}
	r := new(report)
	return r, json.Unmarshal(out.Bytes(), r)
}

// await asks until done reports true.
func (b *bench) await(ctx context.Context, what string, limit time.Duration, done func(*report) bool) error {
	begin := time.Now()
	var last error
	for time.Since(begin) < limit {
		r, err := b.ask(ctx)
		if err == nil && done(r) {
			fmt.Printf("%s: after %v\n", what, time.Since(begin).Round(100*time.Millisecond))
			return nil
		}
		last = err
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(b.interval / 10):
		}
	}
	return errors.Join(fmt.Errorf("not within %v: %s", limit, what), last)
}

// costs prints what the fleet costs Prometheus.
func (b *bench) costs(ctx context.Context) error {
	window := "1m" // a rate over a window that is longer than the run is too low
	if b.hold >= 5*time.Minute {
		window = "5m" // without CPU, Prometheus cannot scrape itself for minutes
	}
	for _, c := range []struct{ name, query, format string }{
		{"series in memory", "last_over_time(prometheus_tsdb_head_series[5m])", "%.0f\n"},
		{"series of an instance", "avg(scrape_samples_scraped{job=\"gmpulse\"})", "%.0f\n"},
		{"samples a second", "sum(rate(prometheus_tsdb_head_samples_appended_total[" + window + "]))", "%.0f\n"},
		{"memory of Prometheus", "last_over_time(process_resident_memory_bytes{job=\"prometheus\"}[5m]) / 1e6", "%.0f MB\n"},
		{"CPU of Prometheus", "rate(process_cpu_seconds_total{job=\"prometheus\"}[" + window + "])", "%.3f cores\n"},
		{"duration of a scrape", "avg(scrape_duration_seconds{job=\"gmpulse\"}) * 1e3", "%.1f ms\n"},
	} {
		v, err := b.prometheus.number(ctx, c.query)
		if err != nil {
			return err
		}
		fmt.Printf("%-44s "+c.format, c.name, v)
	}
	if err := b.disk(ctx); err != nil {
		return err
	}
	begin := time.Now()
	const runs = 5
	for range runs {
		if _, err := b.ask(ctx); err != nil {
			return err
		}
	}
	fmt.Printf("%-44s %v\n", "gmpulse fleet, all queries", (time.Since(begin) / runs).Round(time.Millisecond))
	return nil
}

const configuration = `global:
  scrape_interval: %v
  evaluation_interval: %v
rule_files: [rules.yml]
scrape_configs:
  - job_name: gmpulse
    file_sd_configs: [{files: [targets.json]}]
  - job_name: prometheus
    static_configs: [{targets: ["%s"]}]
`

// get returns the body of an answer.
func get(h http.Handler, path string) (string, error) {
	r, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return "", err
	}
	r.Host, r.RemoteAddr = "localhost", "127.0.0.1:1" // the agent answers clients on this machine only
	w := &recorder{header: http.Header{}}
	h.ServeHTTP(w, r)
	return w.body.String(), nil
}

// recorder is an http.ResponseWriter that keeps the body.
type recorder struct {
	header http.Header
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(int)             {}
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
