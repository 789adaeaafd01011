// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// series is one file of the benchmark with its labelled spans and the detector's scores.
type series struct {
	name  string
	text  [][2]string // timestamp and value as in the file
	when  []time.Time
	value []float64
	spans []span
	score []float64
}

// span is an inclusive range of samples labelled anomalous.
type span struct{ first, last int }

// load reads the series of the label file, sorted by name.
func load(data, labels string) ([]*series, error) {
	b, err := os.ReadFile(labels)
	if err != nil {
		return nil, err
	}
	windows := map[string][][2]string{}
	if err := json.Unmarshal(b, &windows); err != nil {
		return nil, fmt.Errorf("%s: %w", labels, err)
	}
	var all []*series
	for name, labelled := range windows {
		s := &series{name: name}
		if err := s.read(filepath.Join(data, name)); err != nil {
			return nil, err
		}
		if err := s.label(labelled); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *series) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}

// read reads a file with a header and the columns timestamp and value.
func (s *series) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for i, row := range rows[min(1, len(rows)):] {
		if len(row) < 2 {
			return fmt.Errorf("%s: line %d has no value", path, i+2)
		}
		t, err := parse(row[0])
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", path, i+2, err)
		}
		v, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", path, i+2, err)
		}
		s.text = append(s.text, [2]string{row[0], row[1]})
		s.when, s.value = append(s.when, t), append(s.value, v)
	}
	return nil
}

// parse parses a time with or without a fraction of a second.
func parse(text string) (time.Time, error) { return time.Parse(time.DateTime, text) }

// label sets the spans from the times of the label file.
func (s *series) label(labelled [][2]string) error {
	at := map[int64]int{}
	for i, t := range slices.Backward(s.when) {
		at[t.UnixMicro()] = i
	}
	for _, l := range labelled {
		var place [2]int
		for i, text := range l {
			t, err := parse(text)
			if err != nil {
				return err
			}
			var ok bool
			if place[i], ok = at[t.UnixMicro()]; !ok {
				return fmt.Errorf("no sample at %s", text)
			}
		}
		s.spans = append(s.spans, span{place[0], place[1]})
	}
	slices.SortFunc(s.spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	return nil
}
