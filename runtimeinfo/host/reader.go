// SPDX-License-Identifier: Apache-2.0

// Package host reads what the operating system knows: the own process, its
// control group and the machine.
//
//	r := host.NewReader(host.Config{})
//	defer r.Close()
//	rss, ok := r.Read(ctx).Get(host.ProcessMemoryRSS)
//
// What the platform lacks, what the process may not see and what the reader
// does not understand is absent from the [Sample]; it is never zero.
//
// # Where the values come from
//
// On Linux the own process is read from /proc/self, its group from the cgroup
// file systems (v1, v2 and the two mixed) and pressure from /proc/pressure; the
// machine's CPU, load, memory, disk and network values come from gopsutil. On
// other systems gopsutil answers for process and machine where it can without
// starting a program; cgroup and pressure fields are absent.
//
// The environment variables HOST_PROC and HOST_SYS, which containers set to
// the places where the node's trees are mounted, redirect gopsutil and hence the
// System CPU, load, memory, disk and network fields. They do not touch the
// process and cgroup fields: those always tell about this process.
//
// # Cost
//
// BenchmarkRead on Linux 6.18 (2 vCPUs): 0.14 ms and 318 allocations of 38 KB, of
// which gopsutil has two thirds and 296. Process, cgroup and pressure are read
// through descriptors that stay open, at most 64, and allocate only for the list of
// threads. All reads are of kernel pseudo files, which do not wait for devices or the
// network.
package host

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
)

// Config says where a [Reader] reads. The zero value reads this machine.
type Config struct {
	// Root is the directory that holds proc and sys; empty means "/". A recorded
	// tree serves as well as a live one: what is then not in the files is absent.
	Root string
	// Logger gets one line when a source begins to fail and one when it works
	// again; nil means [slog.Default].
	Logger *slog.Logger
}

// Reader takes host samples. Make one with [NewReader]; it keeps
// descriptors of pseudo files open until [Reader.Close]: some twenty, more where
// control groups are deep.
//
// Read and Close must not be called at the same time; Failures may be called
// whenever one likes.
type Reader struct {
	log      *slog.Logger
	sources  []source
	release  func() error
	failures atomic.Uint64
}

// NewReader returns a Reader. It reads nothing yet and cannot fail: whatever is
// not there shows as absent fields.
func NewReader(cfg Config) *Reader {
	root := filepath.Clean(cmp.Or(cfg.Root, "/"))
	r := &Reader{log: cmp.Or(cfg.Logger, slog.Default())}
	own, release := ownSources(root)
	r.sources = append(own, systemSources(root)...)
	r.release = release
	return r
}

// Read takes one pass over all sources. Once ctx is done it stops between two
// sources, and what was not read yet is absent. After Close everything is.
func (r *Reader) Read(ctx context.Context) *Sample {
	s := NewSample()
	for i := range r.sources {
		if ctx.Err() != nil {
			break
		}
		err := r.sources[i].run(ctx, s)
		if ctx.Err() == nil { // else the caller's deadline is to blame, not the source
			r.note(ctx, &r.sources[i], err)
		}
	}
	return s
}

// note counts a failure and logs when the state of src changes.
func (r *Reader) note(ctx context.Context, src *source, err error) {
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

// Failures returns how often a source failed since the Reader was made: it was
// there but could not be read, had not the expected shape, or panicked. A source
// that the platform lacks does not count.
func (r *Reader) Failures() uint64 { return r.failures.Load() }

// Close releases the kept descriptors. It may be called more than once.
func (r *Reader) Close() error {
	r.sources = nil
	release := r.release
	r.release = nil
	if release == nil {
		return nil
	}
	return release()
}
