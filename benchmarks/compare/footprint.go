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
)

// program is a web server that does one thing more.
type program struct {
	name    string
	imports []string
	use     string // a statement, so that the linker keeps what is used
}

func programs() []program {
	const gm = "github.com/gmpulse/gmpulse/"
	return []program{
		{"net/http alone", nil, ""},
		{"**gmpulse** agent/engine with an exporter of slog", []string{gm + "agent/engine", gm + "exporters"}, `engine.New(engine.WithExporter("log", exporters.Log(nil)))`},
		{"**gmpulse** agent, all of it", []string{gm + "agent"}, `agent.Start()`},
		{"OTel SDK, traces", []string{"go.opentelemetry.io/otel/sdk/trace"}, `trace.NewTracerProvider()`},
		{"client_golang with promhttp", []string{"github.com/prometheus/client_golang/prometheus/promhttp"}, `http.Handle("/metrics", promhttp.Handler())`},
		{"OTel SDK, metrics, with contrib runtime", []string{"go.opentelemetry.io/otel/sdk/metric", "go.opentelemetry.io/contrib/instrumentation/runtime"}, `runtime.Start(runtime.WithMeterProvider(metric.NewMeterProvider()))`},
		{"gopsutil", []string{"github.com/shirou/gopsutil/v3/cpu", "github.com/shirou/gopsutil/v3/mem", "github.com/shirou/gopsutil/v3/net"}, `cpu.Times(false); mem.VirtualMemory(); net.IOCounters(false)`},
		{"fluent-logger", []string{"github.com/fluent/fluent-logger-golang/fluent"}, `fluent.New(fluent.Config{})`},
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

// built is what was measured of a program.
type built struct {
	bytes       int64
	init        float64 // milliseconds
	initBytes   int
	initAllocs  int
	hasInitCost bool
}

func (p *program) build(ctx context.Context, dir string, index int) (m built, err error) {
	source, binary := filepath.Join(dir, fmt.Sprint(index), "main.go"), filepath.Join(dir, fmt.Sprint("program", index))
	if err := errors.Join(os.Mkdir(filepath.Dir(source), 0o750), os.WriteFile(source, []byte(p.source()), 0o600)); err != nil {
		return m, err
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", binary, source).CombinedOutput(); err != nil {
		return m, fmt.Errorf("%w: %s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		return m, err
	}
	m.bytes = info.Size()
	run := exec.CommandContext(ctx, binary)
	run.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	trace, err := run.CombinedOutput()
	if err != nil {
		return m, fmt.Errorf("%w: %s", err, trace)
	}
	m.addInits(trace)
	return m, nil
}

// addInits sums up lines like: init net/http @0.4 ms, 0.02 ms clock, 5152 bytes, 17 allocs.
func (m *built) addInits(trace []byte) {
	for line := range bytes.Lines(trace) {
		f := strings.Fields(string(line))
		if len(f) < 10 || f[0] != "init" {
			continue
		}
		ms, err1 := strconv.ParseFloat(f[4], 64)
		n, err2 := strconv.Atoi(f[7])
		allocs, err3 := strconv.Atoi(f[9])
		if errors.Join(err1, err2, err3) == nil {
			m.init, m.initBytes, m.initAllocs, m.hasInitCost = m.init+ms, m.initBytes+n, m.initAllocs+allocs, true
		}
	}
}

func printFootprint(e effort) error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "footprint")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	all := programs()
	if e.quick {
		all = all[:3]
	}
	head("a web server with", "binary, stripped", "init", "allocated by init")
	var bare built
	for i := range all {
		m, err := all[i].build(ctx, dir, i)
		if err != nil {
			return fmt.Errorf("%s: %w", all[i].name, err)
		}
		if i == 0 {
			bare = m
			row(all[i].name, size(float64(m.bytes)), duration(m.init*1e6), size(float64(m.initBytes)))
			continue
		}
		row(all[i].name, "+"+size(float64(m.bytes-bare.bytes)), signed((m.init-bare.init)*1e6), "+"+size(float64(m.initBytes-bare.initBytes)))
	}
	return nil
}
