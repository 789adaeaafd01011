// SPDX-License-Identifier: Apache-2.0

// Command nab runs the baseline detector over the series of the Numenta Anomaly
// Benchmark, or any CSV files of the same form, and scores it by that
// benchmark's rules.
//
//	go -C benchmarks run ./nab -data DIR -labels FILE -out DIR
//
// For each series that the label file names it writes a file of the same relative
// path below -out, with the columns timestamp, value and score: one row a sample,
// higher meaning stranger, so that anybody's scorer can read it. The detector sees
// one sample at a time and knows nothing of the length, minimum or maximum.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gmpulse/gmpulse/internal/rarity"
)

func main() {
	data := flag.String("data", "", "folder with the series")
	labels := flag.String("labels", "", "label file: series to spans of anomalous time, in JSON")
	out := flag.String("out", "", "folder for the scores")
	interval := flag.Duration("interval", 5*time.Minute, "time between samples: how long the detector remembers goes by it")
	spiky := flag.Bool("spiky", false, "judge the series as spiky ones")
	flag.Parse()
	if *data == "" || *labels == "" || *out == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*data, *labels, *out, *spiky, *interval); err != nil {
		fmt.Fprintln(os.Stderr, "nab:", err)
		os.Exit(1)
	}
}

func run(data, labels, out string, spiky bool, interval time.Duration) error {
	all, err := load(data, labels)
	if err != nil {
		return err
	}
	var took time.Duration
	var samples int
	for _, s := range all {
		began := time.Now()
		s.judge(spiky, interval)
		took += time.Since(began)
		samples += len(s.value)
		if err := s.write(filepath.Join(out, s.name)); err != nil {
			return err
		}
	}
	fmt.Printf("%d series, %d samples, %d ns a sample\n", len(all), samples, int(took)/max(1, samples))
	report(all)
	return nil
}

// judge lets a new detector see the series, one sample after the other.
func (s *series) judge(spiky bool, interval time.Duration) {
	d := rarity.New(spiky, interval)
	s.score = make([]float64, len(s.value))
	for i, v := range s.value {
		s.score[i] = d.Next(s.when[i], v).Score
	}
}

func (s *series) write(path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "timestamp,value,score")
	for i := range s.value {
		fmt.Fprintf(w, "%s,%s,%.6f\n", s.text[i][0], s.text[i][1], s.score[i])
	}
	return w.Flush()
}
