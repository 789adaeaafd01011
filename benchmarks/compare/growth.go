// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v3/process"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
)

// condition is the state of a child process while it measures.
type condition struct {
	Name                          string
	Goroutines, Procs, Files, MiB int
}

func conditions(quick bool) []condition {
	all := []condition{
		{Name: "1,000 goroutines", Goroutines: 1000},
		{Name: "100,000 goroutines", Goroutines: 100_000},
		{Name: "1,000,000 goroutines", Goroutines: 1_000_000},
		{Name: "GOMAXPROCS 16", Procs: 16},
		{Name: "GOMAXPROCS 64", Procs: 64},
		{Name: "10,000 open files", Files: 10_000},
		{Name: "heap of 1 GB", MiB: 1024},
	}
	if quick {
		return all[:2]
	}
	return all
}

// growth has the results of a child process, in nanoseconds.
type growth struct {
	Limit, Read, Pulse, Host, GopsutilFDs float64
}

// printGrowth measures each condition in a child process.
func printGrowth(e effort) error {
	head("process with", "bare metrics.Read", "**gmpulse** sample", "**gmpulse** pulse", "**gmpulse** host pass", "gopsutil NumFDs")
	for _, c := range conditions(e.quick) {
		g, err := inChild(c, e)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		row(c.Name, duration(g.Limit), duration(g.Read), duration(g.Pulse), duration(g.Host), duration(g.GopsutilFDs))
	}
	return nil
}

type growthJob struct {
	Condition condition
	Effort    sidebyside.Effort
}

func inChild(c condition, e effort) (g growth, err error) {
	self, err := os.Executable()
	if err != nil {
		return g, err
	}
	job, err := json.Marshal(growthJob{c, e.turns})
	if err != nil {
		return g, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-child", string(job))
	cmd.Stderr = os.Stderr
	if c.Procs > 0 {
		cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", c.Procs))
	}
	out, err := cmd.Output()
	if err != nil {
		return g, err
	}
	return g, json.Unmarshal(out, &g)
}

// asChild runs a server or a growthJob in the child process.
func asChild(text string) error {
	if serve := servers()[text]; serve != nil {
		return serve()
	}
	var job growthJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return err
	}
	keep, err := job.Condition.enter()
	if err != nil {
		return err
	}
	self, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		return err
	}
	read, _, pulse, hostPass := gmpulseParts()
	r := sidebyside.Turns(job.Effort, []sidebyside.Case{
		sidebyside.Op("limit", limit()),
		sidebyside.Op("read", read),
		sidebyside.Op("pulse", pulse),
		sidebyside.Op("host", hostPass),
		sidebyside.Must("gopsutil", func() error {
			_, err := self.NumFDs()
			return err
		}),
	})
	runtime.KeepAlive(keep)
	return json.NewEncoder(os.Stdout).Encode(growth{r[0].CPU, r[1].CPU, r[2].CPU, r[3].CPU, r[4].CPU})
}

// enter brings the process into the condition. The caller must keep the result
// reachable.
func (c *condition) enter() (keep any, err error) {
	var ready sync.WaitGroup
	for range c.Goroutines {
		ready.Add(1)
		go func() {
			ready.Done()
			select {}
		}()
	}
	ready.Wait()
	files, err := open(c.Files)
	if err != nil {
		return nil, err
	}
	type node struct {
		next *node
		_    [104]byte
	}
	lists := make([]*node, 1024)
	for i := range c.MiB << 20 / 112 {
		lists[i%len(lists)] = &node{next: lists[i%len(lists)]}
	}
	runtime.GC()
	return []any{files, lists}, nil
}

func open(n int) (files []*os.File, err error) {
	if n == 0 {
		return nil, nil
	}
	limit := syscall.Rlimit{}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	if limit.Cur = limit.Max; limit.Cur < uint64(n)+100 {
		return nil, errors.New("the limit on open files is too low")
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	for range n {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}
