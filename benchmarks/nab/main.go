// SPDX-License-Identifier: Apache-2.0

// Command nab runs the baseline detector over the series of the Numenta Anomaly
// Benchmark, or any CSV files of the same form, and scores it by that
// benchmark's rules.
//
//	go -C benchmarks run ./nab -data DIR -labels FILE -out DIR
//
// For each series of the label file the command writes a file with the same relative
// path below -out. It has the columns timestamp, value and score and one row a sample;
// a higher score means a less likely value. Any scorer for the benchmark can read it.
// The detector receives one sample at a time and does not know the length, minimum or
// maximum of a series.
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
	data := flag.String("data", "", "directory with the series")
	labels := flag.String("labels", "", "label file in JSON: the anomalous time spans of each series")
	out := flag.String("out", "", "directory for the scores")
	interval := flag.Duration("interval", 5*time.Minute, "time between samples, which determines the length of the detector's memory")
	spiky := flag.Bool("spiky", false, "use the detector for spiky signals")
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
		s.computeScores(spiky, interval)
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

// computeScores sets the score of each sample with a new detector.
func (s *series) computeScores(spiky bool, interval time.Duration) {
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
