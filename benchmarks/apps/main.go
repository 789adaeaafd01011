// SPDX-License-Identifier: Apache-2.0

// Command apps measures what the agent costs whole applications: the CPU time of a server process
// for each request, with the agent and without, at a fixed rate. The load and the databases are in
// other processes. README.md in the parent directory describes the method.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func main() {
	serve := flag.String("serve", "", "run this application in this process; for internal use")
	settings := flag.String("config", "{}", "its configuration; for internal use")
	only := flag.String("only", "", "run the rows that match this regular expression")
	quick := flag.Bool("quick", false, "check that everything runs; the figures mean nothing")
	p := plan{settle: 3 * time.Second, least: 6}
	flag.DurationVar(&p.block, "block", 10*time.Second, "length of a block")
	flag.DurationVar(&p.most, "for", 10*time.Minute, "longest time for a row")
	flag.Float64Var(&p.half, "half", 0.005, "half-width of the interval at which a row ends")
	flag.Float64Var(&p.scale, "scale", 1, "factor of the rates of requests")
	flag.BoolVar(&p.record, "profile", false, "write a CPU profile of each block to the current directory; it has a cost of its own")
	flag.Parse()
	if *quick {
		p = plan{settle: 300 * time.Millisecond, block: 500 * time.Millisecond, least: 1, scale: 0.25}
	}
	var err error
	if *serve != "" {
		err = serveNamed(*serve, *settings)
	} else {
		err = run(*only, p)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "apps:", err)
		os.Exit(1)
	}
}

func serveNamed(name, settings string) error {
	var c config
	if err := json.Unmarshal([]byte(settings), &c); err != nil {
		return err
	}
	for _, a := range apps() {
		if a.name == name {
			return runServer(a, c)
		}
	}
	return fmt.Errorf("no application %q", name)
}

// run measures all rows and prints them.
func run(only string, p plan) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	cache, err := miniredis.Run()
	if err != nil {
		return err
	}
	defer cache.Close()
	upstream := newUpstream()
	defer upstream.Close()
	var databases databases
	defer databases.stop()
	fmt.Printf("%s, %s/%s, %d CPUs, %s\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly))
	fmt.Println("| application | CPU of a unit | of a core | with the agent, × without | 95 % interval | pairs | more bytes allocated | collections |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, r := range rows() {
		if !match.MatchString(r.name) {
			continue
		}
		r.config.Redis, r.config.Upstream = cache.Addr(), upstream.Listener.Addr().String()
		if r.app.database {
			if err := postgresInstalled(); err != nil {
				fmt.Fprintf(os.Stderr, "apps: no row of %s: %v\n", r.name, err)
				continue
			}
			if r.config.Postgres, err = databases.url(); err != nil {
				return err
			}
		}
		result, err := compare(r.app, r.config, p)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		result.print(r.name, r.app.unit)
	}
	return nil
}

// row is a comparison of an application.
type row struct {
	name   string
	app    app
	config config
}

func rows() (rows []row) {
	for _, a := range apps() {
		if a.spans {
			rows = append(rows, row{a.name + ", with spans", a, config{Spans: true}})
		}
		rows = append(rows, row{a.name, a, config{}}, row{a.name + ": without the agent, twice", a, config{Spans: a.spans, Idle: true}})
	}
	return rows
}

func (r result) print(name, unit string) {
	fmt.Printf("| %s | %.2f µs a %s | %.0f %% | %.4f | %.4f – %.4f | %d | %.0f | %.1f, %.1f |\n",
		name, r.off.cpu*1e6, unit, r.off.core*100, r.ratio.mean, r.ratio.low, r.ratio.high, r.ratio.pairs,
		r.on.bytes-r.off.bytes, r.off.collections, r.on.collections)
	if r.late > 0.01 {
		fmt.Fprintf(os.Stderr, "apps: %.0f %% of the sends began late\n", r.late*100)
	}
}
