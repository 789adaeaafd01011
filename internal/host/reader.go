// SPDX-License-Identifier: Apache-2.0

// Package host reads values that the operating system has on this process, its control group
// and the machine. The sampler turns them into metrics; their list is in
// internal/hostfield.
//
// A value that the platform lacks, that the process may not read or that has an unknown
// format is absent from the [Sample], never zero.
//
// # Sources
//
// On Linux the values of the process come from /proc/self, the values of its control group
// from the cgroup file systems (v1, v2 and mixed), and pressure from /proc/pressure. CPU, load,
// memory, disk and network values of the machine come from gopsutil. On other systems
// gopsutil provides process and machine where it does not start a program; control-group
// and pressure values are absent.
//
// Containers set the environment variables HOST_PROC and HOST_SYS to the mount points of the
// node's file systems. They redirect gopsutil, and do not affect process and control-group
// values.
//
// # Cost
//
// A pass takes 0.4 to 0.7 ms and 455 allocations of 76 KB on Linux 6.18 with 2 busy vCPUs
// (BenchmarkRead). All reads are of kernel pseudo files, which do not wait for devices or the
// network.
package host

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
)

// Config configures a [Reader]. The zero value reads this machine.
type Config struct {
	// Root is the directory that contains proc and sys. It may be a recorded tree. Default
	// "/".
	Root string
	// Logger receives a line when a source starts to fail and when it works again. Default
	// slog.Default().
	Logger *slog.Logger
}

// Reader reads samples. Use [NewReader] to make one.
//
// Read must not be called concurrently. Failures may be called at any time.
type Reader struct {
	log      *slog.Logger
	root     string
	sources  []source
	failures atomic.Uint64
}

// NewReader returns a Reader. It opens no file.
func NewReader(cfg Config) *Reader {
	root := cmp.Or(cfg.Root, "/")
	return &Reader{
		log:     cmp.Or(cfg.Logger, slog.Default()),
		root:    root,
		sources: append(ownSources(root), systemSources(root)...),
	}
}

// Read reads all sources once. When ctx is done it returns early, with the remaining values
// absent.
func (r *Reader) Read(ctx context.Context) *Sample {
	ctx = through(ctx, r.root)
	s := NewSample()
	for i := range r.sources {
		if ctx.Err() != nil {
			break
		}
		err := r.sources[i].run(ctx, s)
		if ctx.Err() == nil { // otherwise the error may come from ctx
			r.report(ctx, &r.sources[i], err)
		}
	}
	return s
}

// report counts a failure and logs a change between success and failure.
func (r *Reader) report(ctx context.Context, src *source, err error) {
	failing := err != nil && !absence(err)
	if failing {
		r.failures.Add(1)
	}
	if failing == src.failing {
		return
	}
	src.failing = failing
	if !failing {
		r.log.InfoContext(ctx, "host source works again", slog.String("source", src.name))
		return
	}
	r.log.WarnContext(ctx, "host source fails, its values are absent",
		slog.String("source", src.name), slog.String("error", err.Error()))
}

// Failures returns how often a source existed but could not be read, had an unknown format or
// panicked.
func (r *Reader) Failures() uint64 { return r.failures.Load() }
