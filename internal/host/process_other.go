// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package host

import (
	"context"
	"os"
	"runtime"

	"github.com/shirou/gopsutil/v3/process"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// ownSources returns the sources of this process. They do not use HOST_PROC.
func ownSources(string) []source {
	sources := []source{{name: "cpu.usable", read: func(_ context.Context, s *Sample) error {
		put(s, hostfield.CPUUsable, float64(runtime.NumCPU()))
		return nil
	}}}
	if startsPrograms {
		return sources
	}
	p := &process.Process{Pid: int32(os.Getpid())} // its constructor only checks that the process exists
	return append(sources,
		source{name: "process.cpu", foreign: true, read: func(ctx context.Context, s *Sample) error {
			t, err := p.TimesWithContext(ctx)
			if err != nil {
				return err
			}
			put(s, hostfield.ProcessCPUUser, t.User)
			put(s, hostfield.ProcessCPUSystem, t.System)
			return nil
		}},
		source{name: "process.memory", foreign: true, read: func(ctx context.Context, s *Sample) error {
			m, err := p.MemoryInfoWithContext(ctx)
			if err != nil {
				return err
			}
			put(s, hostfield.ProcessMemoryRSS, float64(m.RSS))
			put(s, hostfield.ProcessMemoryVirtual, float64(m.VMS))
			return nil
		}},
		source{name: "process.threads", foreign: true, read: func(ctx context.Context, s *Sample) error {
			n, err := p.NumThreadsWithContext(ctx)
			if err != nil {
				return err
			}
			put(s, hostfield.ProcessThreads, float64(n))
			return nil
		}},
		source{name: "process.fd", foreign: true, read: func(ctx context.Context, s *Sample) error {
			n, err := p.NumFDsWithContext(ctx)
			if err != nil {
				return err
			}
			put(s, hostfield.ProcessFDs, float64(n))
			return nil
		}},
	)
}
