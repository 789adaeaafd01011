// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
)

// program is a web server that links further packages.
type program struct {
	name    string
	imports []string
	use     string // statements that make the linker keep the packages' code
}

const (
	modGmpulse    = "github.com/gmpulse/gmpulse/"
	modPrometheus = "github.com/prometheus/client_golang/prometheus"
	modOTel       = "go.opentelemetry.io/otel"
	modFluent     = "github.com/fluent/fluent-logger-golang/fluent"
	modGopsutil   = "github.com/shirou/gopsutil/v3/"
)

func programs() []program {
	return []program{
		{"net/http alone", nil, ""},
		{"**gmpulse** agent/engine with a slog exporter", []string{"context", modGmpulse + "agent/engine", modGmpulse + "exporters"}, `e, _ := engine.New(engine.WithExporter("log", exporters.Log(nil))); e.Start(context.Background())`},
		{"**gmpulse** agent", []string{modGmpulse + "agent"}, `agent.Start()`},
		{"OTel SDK, traces", []string{modOTel + "/sdk/trace"}, `trace.NewTracerProvider()`},
		{"client_golang with promhttp", []string{modPrometheus + "/promhttp"}, `http.Handle("/metrics", promhttp.Handler())`},
		{"OTel SDK, metrics, with contrib runtime", []string{modOTel + "/sdk/metric", "go.opentelemetry.io/contrib/instrumentation/runtime"}, `runtime.Start(runtime.WithMeterProvider(metric.NewMeterProvider()))`},
		{"gopsutil", []string{modGopsutil + "cpu", modGopsutil + "mem", modGopsutil + "net"}, `cpu.Times(false); mem.VirtualMemory(); net.IOCounters(false)`},
		{"fluent-logger", []string{modFluent}, `fluent.New(fluent.Config{})`},
		{"statsviz", []string{"github.com/arl/statsviz"}, `statsviz.Register(http.NewServeMux())`},
		{"holmes", []string{"mosn.io/holmes"}, `holmes.New()`},
	}
}

func (p *program) source() string {
	var b strings.Builder
	b.WriteString("package main\n\nimport (\n\t\"net/http\"\n")
	for _, i := range p.imports {
		fmt.Fprintf(&b, "\t%q\n", i)
	}
	fmt.Fprintf(&b, ")\n\nfunc main() {\n\tif len(http.DefaultTransport.(*http.Transport).TLSNextProto) > 99 {\n\t\t%s\n\t}\n\thttp.ListenAndServe(\"256.0.0.1:0\", nil)\n}\n", p.use)
	return b.String()
}

// build builds the stripped binary of a program and returns its path and size.
func (p *program) build(ctx context.Context, dir string, index int) (binary string, bytes int64, err error) {
	source := filepath.Join(dir, fmt.Sprint(index), "main.go")
	binary = filepath.Join(dir, fmt.Sprint("program", index))
	if err := errors.Join(os.Mkdir(filepath.Dir(source), 0o750), os.WriteFile(source, []byte(p.source()), 0o600)); err != nil {
		return "", 0, err
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", binary, source).CombinedOutput(); err != nil {
		return "", 0, fmt.Errorf("%s: %w: %s", p.name, err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		return "", 0, err
	}
	return binary, info.Size(), nil
}

// initCost is the cost of initialising all packages of a program.
type initCost struct {
	ns    float64
	bytes int
}

// runInit starts a program, which fails to listen and ends, and returns its initCost.
func runInit(ctx context.Context, binary string) (c initCost, err error) {
	run := exec.CommandContext(ctx, binary)
	run.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	trace, err := run.CombinedOutput()
	if err != nil {
		return c, fmt.Errorf("%w: %s", err, trace)
	}
	// A line is: init net/http @0.4 ms, 0.02 ms clock, 5152 bytes, 17 allocs.
	for line := range bytes.Lines(trace) {
		f := strings.Fields(string(line))
		if len(f) < 10 || f[0] != "init" {
			continue
		}
		ms, err1 := strconv.ParseFloat(f[4], 64)
		n, err2 := strconv.Atoi(f[7])
		if errors.Join(err1, err2) == nil {
			c.ns, c.bytes = c.ns+ms*1e6, c.bytes+n
		}
	}
	return c, nil
}

// printFootprint builds all programs and starts them in turn. It prints the median init
// time of the first program, and for the others the median of the differences to the
// first program in the same turn.
func printFootprint(e effort) error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "footprint")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	all, turns := programs(), 101
	if e.quick {
		all, turns = all[:3], 5
	}
	binaries, sizes := make([]string, len(all)), make([]int64, len(all))
	for i := range all {
		if binaries[i], sizes[i], err = all[i].build(ctx, dir, i); err != nil {
			return err
		}
	}
	over, allocated := make([][]float64, len(all)), make([]int, len(all))
	for range turns {
		var bare initCost
		for i, binary := range binaries {
			c, err := runInit(ctx, binary)
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
			if i == 0 {
				bare = c
				over[i] = append(over[i], c.ns)
				continue
			}
			over[i], allocated[i] = append(over[i], c.ns-bare.ns), c.bytes-bare.bytes
		}
		allocated[0] = bare.bytes
	}
	head("a web server with", "binary, stripped", "init, median", "allocated by init")
	row(all[0].name, size(float64(sizes[0])), duration(sidebyside.Quantile(over[0], 0.5)), size(float64(allocated[0])))
	for i := 1; i < len(all); i++ {
		row(all[i].name, "+"+size(float64(sizes[i]-sizes[0])), signed(sidebyside.Quantile(over[i], 0.5)), "+"+size(float64(allocated[i])))
	}
	return nil
}
