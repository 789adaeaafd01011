// SPDX-License-Identifier: Apache-2.0

package goroutines_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"strings"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

//go:noinline
func notify(c chan<- string) { c <- "paid" }

// A survey counts the goroutines that wait at one place.
func ExampleTakeSurvey() {
	c := make(chan string)
	for range 3 {
		go notify(c)
	}
	time.Sleep(100 * time.Millisecond)
	s, err := goroutines.TakeSurvey(context.Background(), goroutines.SurveyConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range s.Groups {
		if g := &s.Groups[i]; strings.HasSuffix(g.Entry, ".notify") {
			fmt.Println(g.Count, "in", g.Class)
		}
	}
	for range 3 {
		<-c
	}
	// Output: 3 in chan send
}

// WriteLeakProfile writes the goroutines that nothing can wake. It needs a recent survey.
func ExampleWriteLeakProfile() {
	ctx := context.Background()
	last, err := goroutines.TakeSurvey(ctx, goroutines.SurveyConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var b bytes.Buffer
	if err := goroutines.WriteLeakProfile(ctx, &b, last); err != nil {
		log.Println(err) // before Go 1.27
		return
	}
	leaked, err := goroutines.ParseSurvey(b.Bytes(), goroutines.SurveyConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range leaked.Groups {
		log.Println(leaked.Groups[i].Key)
	}
	// Output:
}

// The agent runs a Detector. A program without the agent runs its own.
func ExampleDetector() {
	d := goroutines.NewDetector(goroutines.DetectorConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { d.Run(ctx, func() *runtimeinfo.Snapshot { return nil }) })

	report := d.Report()
	for report.Survey == nil { // the first survey takes a moment
		time.Sleep(10 * time.Millisecond)
		report = d.Report()
	}
	fmt.Println(report.Survey.Goroutines > 0, len(report.Verdicts))

	cancel()
	wg.Wait()
	// Output: true 0
}
