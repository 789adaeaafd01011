// SPDX-License-Identifier: Apache-2.0

// Compare measures the cost of gmpulse, of other libraries, and of the minimum that
// any library must do. It prints tables in Markdown.
//
//	go -C benchmarks run ./compare                 all tables, about ten minutes
//	go -C benchmarks run ./compare -only sample    the tables whose name contains "sample"
//	go -C benchmarks run ./compare -quick          a short run of all, half a minute: what CI runs
//
// It needs Linux to measure the CPU time of the process. ./cost measures the survey of
// goroutines.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
)

type table struct {
	name  string
	title string
	print func(effort) error
}

// effort determines how long to measure.
type effort struct {
	turns  sidebyside.Effort // for single operations
	pairs  sidebyside.Effort // for a whole application
	cold   int               // rounds with cold caches
	traces tracing
	quick  bool
}

func tables() []table {
	return []table{
		{"sample", "One sample", printSample},
		{"span", "One span, start and end", printSpan},
		{"scan", "5,000 active spans at a tick", printScan},
		{"scrape", "GET /metrics, without the network", printScrape},
		{"otlp", "OTLP collect", printOTLP},
		{"fluentd", "One record to Fluentd, loopback, acknowledged or not", printFluentd},
		{"app", "A whole application", printApp},
		{"profiler", "CPU profiles in a duty cycle", printProfiler},
		{"ticks", "A tick in a busy application", printTicks},
		{"growth", "Growth of one sample", printGrowth},
		{"footprint", "Binary size and init", printFootprint},
		{"footprint-parts", "Parts of the agent's binary", printParts},
	}
}

func main() {
	only := flag.String("only", "", "print the tables whose name contains this")
	quick := flag.Bool("quick", false, "a short run")
	child := flag.String("child", "", "internal: what this child process measures or serves")
	profile := flag.String("profile", "", "write a CPU profile of the run to this file")
	flag.Parse()
	if *child != "" {
		fail(asChild(*child))
		return
	}
	e := effort{
		turns:  sidebyside.Effort{Rounds: 150, Slice: 2 * time.Millisecond},
		pairs:  sidebyside.Effort{Rounds: 100, Slice: 100 * time.Millisecond},
		cold:   60,
		traces: tracing{rounds: 6, length: time.Second},
	}
	if *quick {
		e = effort{
			turns: sidebyside.Effort{Rounds: 7, Slice: time.Millisecond},
			pairs: sidebyside.Effort{Rounds: 5, Slice: 20 * time.Millisecond},
			cold:  5, quick: true,
			traces: tracing{rounds: 1, length: 100 * time.Millisecond},
		}
	}
	// A heap as large as a service's makes collections rare: otherwise the garbage of
	// one case would be collected in the slice of another.
	ballast := make([]byte, 64<<20)
	defer runtime.KeepAlive(ballast)
	stop, err := startProfile(*profile)
	fail(err)
	defer stop()
	fmt.Println(machine())
	for _, t := range tables() {
		if !strings.Contains(t.name, *only) {
			continue
		}
		fmt.Printf("\n### %s\n\n", t.title)
		fail(t.print(e))
	}
}

// startProfile starts a CPU profile unless file is empty.
func startProfile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	return pprof.StopCPUProfile, pprof.StartCPUProfile(f)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// comparedModules returns the modules whose versions are printed with the results.
func comparedModules() []string {
	return []string{
		"github.com/prometheus/client_golang", "go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp", "go.opentelemetry.io/contrib/instrumentation/runtime",
		"go.opentelemetry.io/contrib/instrumentation/host", "go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin",
		"github.com/gin-gonic/gin", "github.com/shirou/gopsutil/v3", "github.com/arl/statsviz", "github.com/VictoriaMetrics/metrics",
		"github.com/DataDog/go-runtime-metrics-internal", "mosn.io/holmes", "github.com/grafana/otel-profiling-go",
		"github.com/fluent/fluent-logger-golang",
	}
}

// machine describes the toolchain, the machine, the date and the versions of the
// compared modules.
func machine() string {
	var versions []string
	info, _ := debug.ReadBuildInfo()
	for _, m := range comparedModules() {
		for _, d := range info.Deps {
			if d.Path == m {
				versions = append(versions, m[strings.LastIndex(m, "/")+1:]+" "+strings.TrimPrefix(d.Version, "v"))
			}
		}
	}
	return fmt.Sprintf("%s, %s/%s, %d CPUs (%s), %s. %s.", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		processor(), time.Now().Format(time.DateOnly), strings.Join(versions, ", "))
}

// processor returns the processor's name from /proc/cpuinfo.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t: "))
		}
	}
	return "unknown"
}

// row prints a row of a table.
func row(cells ...string) { fmt.Println("| " + strings.Join(cells, " | ") + " |") }

func head(cells ...string) {
	row(cells...)
	row(strings.Split(strings.Repeat("---,", len(cells)-1)+"---", ",")...)
}

// printTurns prints the results of sidebyside.Turns. reference names the first case.
func printTurns(reference string, results []sidebyside.Result) {
	head("what", "× "+reference, "CPU", "allocated", "allocations")
	for _, r := range results {
		row(r.Name, ratio(r.Ratio), duration(r.CPU), size(r.Bytes), number(r.Allocs))
	}
}

func ratio(v float64) string { return number(v) }

// number formats v with two or three digits.
func number(v float64) string {
	switch {
	case v != v:
		return ""
	case v >= 99.5:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.95 || v == float64(int(v)):
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func duration(ns float64) string {
	switch {
	case ns < 0:
		return "−" + duration(-ns)
	case ns < 1e3:
		return number(ns) + " ns"
	case ns < 1e6:
		return number(ns/1e3) + " µs"
	default:
		return number(ns/1e6) + " ms"
	}
}

func size(b float64) string {
	switch {
	case b < -0.5:
		return "−" + size(-b)
	case b < 0.5:
		return "0"
	case b < 1e3:
		return fmt.Sprintf("%.0f B", b)
	case b < 1e6:
		return number(b/1e3) + " KB"
	default:
		return number(b/1e6) + " MB"
	}
}

func threeDigits(v float64) string { return fmt.Sprintf("%.3f", v) }
