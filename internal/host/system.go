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

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// system reads the machine through gopsutil. gopsutil often returns zero for missing values, so
// each method checks that something was read.
type system struct {
	root    string
	logical int
	disks   []string
	recount everySixth
	relist  everySixth
}

func systemSources(root string) []source {
	m := &system{root: root}
	var sources []source
	for _, src := range []source{
		{name: "system.cpu", read: m.readCPU},
		{name: "system.logical", read: m.readLogical},
		{name: "system.load", read: m.readLoad},
		{name: "system.memory", read: m.readMemory},
		{name: "system.disk", read: m.readDisks},
		{name: "system.network", read: m.readNetwork},
	} {
		if !avoid(src.name) {
			src.foreign = true
			sources = append(sources, src)
		}
	}
	return sources
}

// through makes gopsutil use the tree below root.
func through(ctx context.Context, root string) context.Context {
	if root == "/" {
		return ctx
	}
	return context.WithValue(ctx, common.EnvKey, common.EnvMap{
		common.HostProcEnvKey: filepath.Join(root, "proc"),
		common.HostSysEnvKey:  filepath.Join(root, "sys"),
		common.HostDevEnvKey:  filepath.Join(root, "dev"),
		common.HostRunEnvKey:  filepath.Join(root, "run"),
	})
}

func (m *system) readCPU(ctx context.Context, s *Sample) error {
	all, err := cpu.TimesWithContext(ctx, false)
	if err != nil {
		return err
	}
	if len(all) != 1 { // gopsutil hides the error
		return m.unread("stat")
	}
	t := all[0]
	// Linux counts the time of virtual machines twice, as guest and as user.
	put(s, hostfield.SystemCPUUser, max(0, t.User-t.Guest))
	put(s, hostfield.SystemCPUSystem, t.System)
	put(s, hostfield.SystemCPUIdle, t.Idle)
	putKnown(s, hostfield.SystemCPUNice, max(0, t.Nice-t.GuestNice))
	putKnown(s, hostfield.SystemCPUIOWait, t.Iowait)
	putKnown(s, hostfield.SystemCPUInterrupt, t.Irq+t.Softirq)
	putKnown(s, hostfield.SystemCPUSteal, t.Steal)
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
	put(s, hostfield.SystemCPULogical, float64(m.logical))
	return nil
}

func (m *system) readLoad(ctx context.Context, s *Sample) error {
	l, err := load.AvgWithContext(ctx)
	if err != nil {
		return err
	}
	put(s, hostfield.SystemLoad1, l.Load1)
	put(s, hostfield.SystemLoad5, l.Load5)
	put(s, hostfield.SystemLoad15, l.Load15)
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
	put(s, hostfield.SystemMemoryTotal, float64(v.Total))
	put(s, hostfield.SystemMemoryFree, float64(v.Free))
	put(s, hostfield.SystemMemoryAvailable, float64(v.Available))
	if v.Used <= v.Total { // a difference of values read at different times may wrap
		put(s, hostfield.SystemMemoryUsed, float64(v.Used))
	}
	putKnown(s, hostfield.SystemMemoryCached, float64(v.Cached))
	putKnown(s, hostfield.SystemMemoryBuffers, float64(v.Buffers))
	used, free, err := swap(ctx, v)
	if err != nil {
		return err
	}
	put(s, hostfield.SystemSwapUsed, used)
	put(s, hostfield.SystemSwapFree, free)
	return nil
}

// readDisks sums over whole disks, see wholeDisks. gopsutil omits disks without I/O since boot;
// if it omits all, the values are absent.
func (m *system) readDisks(ctx context.Context, s *Sample) error {
	if m.relist.due() {
		m.disks = wholeDisks(m.root)
	}
	if disksListed && len(m.disks) == 0 {
		return errors.ErrUnsupported
	}
	// With names, gopsutil does not look up the label of every loop device.
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
	put(s, hostfield.SystemDiskReadBytes, float64(sum.ReadBytes))
	put(s, hostfield.SystemDiskWriteBytes, float64(sum.WriteBytes))
	put(s, hostfield.SystemDiskReads, float64(sum.ReadCount))
	put(s, hostfield.SystemDiskWrites, float64(sum.WriteCount))
	return nil
}

// readNetwork sums over the interfaces of this network namespace except loopback. Packets of
// bridges and tunnels count there and at the underlying interface.
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
	put(s, hostfield.SystemNetworkReceiveBytes, float64(sum.BytesRecv))
	put(s, hostfield.SystemNetworkTransmitBytes, float64(sum.BytesSent))
	put(s, hostfield.SystemNetworkReceiveErrors, float64(sum.Errin))
	put(s, hostfield.SystemNetworkTransmitErrors, float64(sum.Errout))
	put(s, hostfield.SystemNetworkReceiveDropped, float64(sum.Dropin))
	put(s, hostfield.SystemNetworkTransmitDropped, float64(sum.Dropout))
	return nil
}

// loopback reports whether an interface is a loopback interface by its name: lo on Linux, lo0 on
// the BSDs, a phrase on Windows. A recorded tree has no interface flags.
func loopback(name string) bool {
	if strings.HasPrefix(name, "Loopback") {
		return true
	}
	rest, ok := strings.CutPrefix(name, "lo")
	return ok && strings.Trim(rest, "0123456789") == ""
}
