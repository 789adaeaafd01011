// SPDX-License-Identifier: Apache-2.0

// Cost measures surveys, recordings and leak proofs in processes with many goroutines.
// It prints CPU time, longest pause and allocated bytes as a table in Markdown.
//
//	go -C benchmarks run ./cost                    1,000 to 1,000,000 goroutines, two minutes
//	go -C benchmarks run ./cost -goroutines 1000   only this number
//
// Each number of goroutines is measured in a process of its own. The benchmark ignores
// the limits of the leak detector, to show the reason for them.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	list := flag.String("goroutines", "1000,10000,100000,1000000", "numbers of goroutines, separated by commas")
	child := flag.Int("child", 0, "internal: measure in this process and print the result")
	flag.Parse()
	if *child > 0 {
		fail(json.NewEncoder(os.Stdout).Encode(measure(*child)))
		return
	}
	fmt.Printf("%s, %s/%s, %d CPUs\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Println("| goroutines | step | CPU | longest pause, median (maximum) | allocated | repeats |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	for text := range strings.SplitSeq(*list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		fail(err)
		costs, err := inChild(n)
		fail(err)
		for _, c := range costs {
			fmt.Printf("| %d | %s | %v | %v (%v) | %s | %d |\n", n, c.Step, round(c.CPU), round(c.Pause), round(c.Worst), byteCount(c.Allocated), c.Repeats)
		}
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func inChild(n int) (costs []cost, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-child", strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%d goroutines: %w", n, err)
	}
	return costs, json.Unmarshal(out, &costs)
}

// round rounds d to two digits.
func round(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 100 {
		unit *= 10
	}
	return d.Round(unit)
}

func byteCount(n uint64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f kB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%d B", n)
	}
}
