// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
)

// parts returns the libraries of the agent. Each is linked in addition to all before it.
// Code that two of them share counts for the first.
func parts() []program {
	return []program{
		{"net/http alone", nil, ""},
		{
			"client_golang: a registry with the Go, process and build collectors, promhttp",
			[]string{modPrometheus, modPrometheus + "/collectors", modPrometheus + "/promhttp"},
			`r := prometheus.NewRegistry()
			r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
			http.Handle("/metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true}))`,
		},
		{"OTel SDK, traces: what a span processor and otel.GetTracerProvider link", []string{modOTel, modOTel + "/sdk/trace"}, `println(otel.GetTracerProvider(), trace.NewSpanLimits().AttributeCountLimit)`},
		{
			"runtime/pprof, google/pprof/profile without its legacy parsers",
			[]string{"runtime/pprof", "github.com/google/pprof/profile"},
			`pprof.Lookup("goroutine").WriteTo(nil, 0); pprof.StartCPUProfile(nil)
			p, _ := profile.ParseUncompressed(nil); p, _ = profile.Merge([]*profile.Profile{p}); p.Write(nil)`,
		},
		{"bbolt", []string{"go.etcd.io/bbolt"}, `db, _ := bbolt.Open("", 0, nil)
			db.Update(func(t *bbolt.Tx) error { b, _ := t.CreateBucket(nil); b.Put(nil, nil); b.Delete(nil); b.Cursor().Next(); return nil })
			db.Close()`},
		{"fluent-logger", []string{modFluent}, `f, _ := fluent.New(fluent.Config{}); f.Post("", 1); f.Close()`},
		{"log/slog, encoding/json, archive/zip, encoding/csv, embed", []string{"log/slog", "encoding/json", "archive/zip", "encoding/csv", "embed"}, `slog.Info(""); json.Marshal(1); json.Unmarshal(nil, nil)
			z := zip.NewWriter(nil); z.Create(""); z.Close(); zip.NewReader(nil, 0); c := csv.NewWriter(nil); c.Write(nil); c.Flush()
			var files embed.FS; files.ReadFile("")`},
		{"gopsutil", []string{modGopsutil + "cpu", modGopsutil + "disk", modGopsutil + "load", modGopsutil + "mem", modGopsutil + "net"}, `cpu.Times(false); disk.IOCounters(); disk.Usage(""); load.Avg(); mem.VirtualMemory(); mem.SwapMemory(); net.IOCounters(false)`},
		{"**gmpulse**, 68 KB of it the files of the page", []string{modGmpulse + "agent"}, `agent.Start()`},
	}
}

// printParts builds a program for each part, together with all parts before it.
func printParts(e effort) error {
	all := parts()
	if e.quick {
		all = all[:2]
	}
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "parts")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	head("a web server with", "its part of the binary, stripped", "together")
	var whole program
	var bare, before int64
	for i, p := range all {
		whole.imports, whole.use = append(whole.imports, p.imports...), whole.use+"\n\t\t"+p.use
		whole.name = p.name
		_, bytes, err := whole.build(ctx, dir, i)
		if err != nil {
			return err
		}
		if i == 0 {
			bare = bytes
			row(p.name, size(float64(bytes)), "")
		} else {
			row(p.name, "+"+size(float64(bytes-before)), "+"+size(float64(bytes-bare)))
		}
		before = bytes
	}
	return nil
}
