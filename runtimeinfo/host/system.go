// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/net"
)

// system reads the machine through gopsutil. gopsutil tends to answer zero where
// it found nothing, so every method looks for signs that it did read.
type system struct {
	root    string
	env     common.EnvMap // nil: gopsutil looks where it looks by default
	logical int
	disks   []string
	recount rarely
	relist  rarely
}

func systemSources(root string) []source {
	m := &system{root: root}
	if root != "/" {
		m.env = common.EnvMap{
			common.HostProcEnvKey: filepath.Join(root, "proc"),
			common.HostSysEnvKey:  filepath.Join(root, "sys"),
			common.HostDevEnvKey:  filepath.Join(root, "dev"),
			common.HostRunEnvKey:  filepath.Join(root, "run"),
		}
	}
	var sources []source
	for _, src := range []source{
		{name: "system.cpu", read: m.readCPU},
		{name: "system.logical", read: m.readLogical},
		{name: "system.load", read: m.readLoad},
		{name: "system.memory", read: m.readMemory},
		{name: "system.disk", read: m.readDisks},
		{name: "system.network", read: m.readNetwork},
	} {
		if avoid(src.name) {
			continue
		}
		src.foreign = true
		src.read = m.through(src.read)
		sources = append(sources, src)
	}
	return sources
}

// through makes read see the tree below root.
func (m *system) through(read func(context.Context, *Sample) error) func(context.Context, *Sample) error {
	if m.env == nil {
		return read
	}
	return func(ctx context.Context, s *Sample) error {
		return read(context.WithValue(ctx, common.EnvKey, m.env), s)
	}
}

func (m *system) readCPU(ctx context.Context, s *Sample) error {
	all, err := cpu.TimesWithContext(ctx, false)
	if err != nil {
		return err
	}
	if len(all) != 1 { // gopsutil keeps the reason to itself
		return m.unread("stat")
	}
	t := all[0]
	// Linux counts the time of virtual machines twice: as guest and as user.
	put(s, SystemCPUUser, max(0, t.User-t.Guest))
	put(s, SystemCPUSystem, t.System)
	put(s, SystemCPUIdle, t.Idle)
	putKnown(s, SystemCPUNice, max(0, t.Nice-t.GuestNice))
	putKnown(s, SystemCPUIOWait, t.Iowait)
	putKnown(s, SystemCPUInterrupt, t.Irq+t.Softirq)
	putKnown(s, SystemCPUSteal, t.Steal)
	return nil
}

func (m *system) readLogical(ctx context.Context, s *Sample) error {
	if m.recount.due() {
		n, err := countCPUs(ctx)
		m.logical = n
		if err != nil {
			return err
		}
	}
	if m.logical == 0 {
		return m.unread("stat")
	}
	put(s, SystemCPULogical, float64(m.logical))
	return nil
}

func (m *system) readLoad(ctx context.Context, s *Sample) error {
	// Without a file gopsutil asks the running kernel: right for this machine,
	// a lie about a recorded one.
	if m.env != nil && !loadRecorded(m.root) {
		return m.unread("loadavg")
	}
	l, err := load.AvgWithContext(ctx)
	if err != nil {
		return err
	}
	put(s, SystemLoad1, l.Load1)
	put(s, SystemLoad5, l.Load5)
	put(s, SystemLoad15, l.Load15)
	return nil
}

func (m *system) readMemory(ctx context.Context, s *Sample) error {
	v, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return err
	}
	if v.Total == 0 || !memoryWhole(v) {
		return m.unread("meminfo")
	}
	put(s, SystemMemoryTotal, float64(v.Total))
	put(s, SystemMemoryFree, float64(v.Free))
	put(s, SystemMemoryAvailable, float64(v.Available))
	if v.Used <= v.Total { // a difference of numbers taken one after another may wrap
		put(s, SystemMemoryUsed, float64(v.Used))
	}
	putKnown(s, SystemMemoryCached, float64(v.Cached))
	putKnown(s, SystemMemoryBuffers, float64(v.Buffers))
	used, free, err := swap(ctx, v)
	if err != nil {
		return err
	}
	put(s, SystemSwapUsed, used)
	put(s, SystemSwapFree, free)
	return nil
}

// readDisks sums over whole disks, see [wholeDisks]. gopsutil leaves out disks
// without any I/O since boot; if that goes for all of them, the fields are absent.
func (m *system) readDisks(ctx context.Context, s *Sample) error {
	if m.relist.due() {
		m.disks = wholeDisks(m.root)
	}
	if disksListed && len(m.disks) == 0 {
		return errors.ErrUnsupported
	}
	// Naming the disks spares gopsutil the look-ups of labels for every loop device.
	all, err := disk.IOCountersWithContext(ctx, m.disks...)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return m.unread("diskstats")
	}
	var sum disk.IOCountersStat
	for _, d := range all {
		sum.ReadBytes += d.ReadBytes
		sum.WriteBytes += d.WriteBytes
		sum.ReadCount += d.ReadCount
		sum.WriteCount += d.WriteCount
	}
	put(s, SystemDiskReadBytes, float64(sum.ReadBytes))
	put(s, SystemDiskWriteBytes, float64(sum.WriteBytes))
	put(s, SystemDiskReads, float64(sum.ReadCount))
	put(s, SystemDiskWrites, float64(sum.WriteCount))
	return nil
}

// readNetwork sums over the interfaces of this network namespace except loopback.
// Bridges and tunnels count beside the interface that carries their packets, as
// they do in every sum over /proc/net/dev.
func (m *system) readNetwork(ctx context.Context, s *Sample) error {
	all, err := net.IOCountersWithContext(ctx, true)
	if err != nil {
		return err
	}
	var sum net.IOCountersStat
	n := 0
	for _, i := range all {
		if loopback(i.Name) {
			continue
		}
		n++
		sum.BytesRecv += i.BytesRecv
		sum.BytesSent += i.BytesSent
		sum.Errin += i.Errin
		sum.Errout += i.Errout
		sum.Dropin += i.Dropin
		sum.Dropout += i.Dropout
	}
	if n == 0 {
		return errors.ErrUnsupported
	}
	put(s, SystemNetworkReceiveBytes, float64(sum.BytesRecv))
	put(s, SystemNetworkTransmitBytes, float64(sum.BytesSent))
	put(s, SystemNetworkReceiveErrors, float64(sum.Errin))
	put(s, SystemNetworkTransmitErrors, float64(sum.Errout))
	put(s, SystemNetworkReceiveDropped, float64(sum.Dropin))
	put(s, SystemNetworkTransmitDropped, float64(sum.Dropout))
	return nil
}

// loopback goes by the name, because a recorded tree has no interface flags:
// lo on Linux, lo0 on the BSDs, a sentence on Windows.
func loopback(name string) bool {
	if strings.HasPrefix(name, "Loopback") {
		return true
	}
	rest, ok := strings.CutPrefix(name, "lo")
	return ok && strings.Trim(rest, "0123456789") == ""
}
