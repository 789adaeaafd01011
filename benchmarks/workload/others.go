// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// others measures the CPU that other processes of the machine use. They may cause
// alerts that belong to no injected fault.
type others struct {
	began time.Time
	all   float64
	own   float64
}

func (o *others) begin() { o.began, o.all, o.own = time.Now(), machineCPU(), ownCPU() }

// used returns the CPUs that other processes used since begin, or a negative number if
// it is unknown.
func (o *others) used() float64 {
	all := machineCPU()
	if all == 0 {
		return -1
	}
	return max(0, (all-o.all)-(ownCPU()-o.own)) / time.Since(o.began).Seconds()
}

// machineCPU returns the CPU time that all processes used, in seconds.
func machineCPU() float64 {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	if !in.Scan() {
		return 0
	}
	var ticks float64
	for i, text := range strings.Fields(in.Text())[1:] {
		if n, err := strconv.ParseFloat(text, 64); err == nil && i != 3 && i != 4 && i < 8 { // excludes idle, iowait and guests
			ticks += n
		}
	}
	return ticks / 100
}

func ownCPU() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
