// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Recording is the records of one process over some time.
type Recording struct {
	// Source is where the records come from, such as a file.
	Source   string
	samples  []sample // ascending in time
	resource map[string]string
	runs     int // processes in the recording; samples has the records of the last one
}

// sample has the values of a record that are compared.
type sample struct {
	at     time.Time
	run    string    // identifies the process; empty if unknown
	start  time.Time // of the agent; zero if unknown
	values map[string]float64
	roots  map[string]*root // nil in compact records
}

// root is the local root spans of one name that ended, cumulative.
type root struct {
	ended, errors, seconds float64
	durations              histogram
}

const (
	maxRecords   = 200_000 // two days at one a second; a recording of a load test has hundreds
	maxRecord    = 4 << 20 // bytes
	samplesName  = "samples.ndjson.gz"
	resourceKey  = "resource."
	maxRootSpans = 64 // in a full record
)

// Open reads a recording: a file of exporters/jsonl, which may be compressed with gzip, or a bundle of
// evidence as a directory or as a zip file, such as the page's incident.zip. The error names what path
// is instead.
func Open(path string) (*Recording, error) {
	r := &Recording{Source: path}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		err = r.readBundle(os.DirFS(path))
	case strings.EqualFold(filepath.Ext(path), ".zip"):
		err = r.readZip(path)
	default:
		err = r.readFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(r.samples) == 0 {
		return nil, fmt.Errorf("%s has no records: give a file of exporters/jsonl, a bundle of evidence, or the address of a page that begins with http://", path)
	}
	return r, nil
}

func (r *Recording) readFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	return r.read(f)
}

func (r *Recording) readZip(path string) error {
	z, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer func() { _ = z.Close() }() // it was only read
	return r.readBundle(z)
}

// readBundle reads the samples of every bundle below a directory. Bundles that overlap have the same
// samples.
func (r *Recording) readBundle(files fs.FS) error {
	found := false
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != samplesName {
			return err
		}
		found = true
		f, err := files.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // it was only read
		return r.read(f)
	})
	if err == nil && !found {
		return errors.New("there is no " + samplesName + ": this is not a bundle of evidence")
	}
	return err
}

// read adds the records of a stream of lines, which may be compressed.
func (r *Recording) read(from io.Reader) error {
	b := bufio.NewReader(from)
	if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return err
		}
		b = bufio.NewReader(z)
	}
	lines := bufio.NewScanner(b)
	lines.Buffer(nil, maxRecord)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		record := map[string]any{}
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			if n == 1 {
				return errors.New("the first line is not JSON: this is not a file of exporters/jsonl")
			}
			continue // a process that was killed leaves an incomplete line
		}
		if len(r.samples) == maxRecords {
			return fmt.Errorf("more than %d records; cut the file to the time to compare", maxRecords)
		}
		r.Add(record)
	}
	return lines.Err()
}

// Add adds a record: what exporters/jsonl writes for a snapshot, decoded from JSON. It ignores records of
// events and of kinds that a later version may write. It reports whether the record is newer than the last one.
func (r *Recording) Add(record map[string]any) bool {
	at, err := time.Parse(time.RFC3339Nano, text(record["@timestamp"]))
	if kind := record["record"]; err != nil || kind != nil && kind != "runtime" { // the records of a bundle have no kind
		return false
	}
	s := sample{at: at, values: map[string]float64{}}
	if i := strings.LastIndexByte(text(record["id"]), '/'); i >= 0 {
		s.run = text(record["id"])[:i]
		base36 := s.run[strings.LastIndexByte(s.run, '/')+1:]
		if ns, err := strconv.ParseInt(base36, 36, 64); err == nil {
			s.start = time.Unix(0, ns)
		}
	}
	for _, key := range keys() {
		if v, ok := record[key].(float64); ok {
			s.values[key] = v
		}
	}
	if list, ok := record["root_spans"].([]any); ok {
		s.roots = rootsOf(list)
	}
	newer := len(r.samples) == 0 || at.After(r.samples[len(r.samples)-1].at)
	r.samples = append(r.samples, s)
	r.resource = map[string]string{}
	for key, v := range record {
		if name, ok := strings.CutPrefix(key, resourceKey); ok {
			r.resource[name] = text(v)
		}
	}
	return newer
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func rootsOf(list []any) map[string]*root {
	roots := make(map[string]*root, len(list))
	for _, x := range list {
		m, _ := x.(map[string]any)
		number := func(key string) float64 {
			v, _ := m[key].(float64)
			return v
		}
		roots[text(m["name"])] = &root{
			ended: number("ended"), errors: number("errors"), seconds: number("seconds"), durations: parseHistogram(text(m["durations"])),
		}
	}
	return roots
}

// finish sorts the samples and keeps the samples of the last process. It removes samples without spans,
// which an analyzer has missed the deadline for: their counters seem to start again.
func (r *Recording) finish() {
	if r.runs > 0 || len(r.samples) == 0 {
		return
	}
	slices.SortStableFunc(r.samples, func(a, b sample) int { return a.at.Compare(b.at) })
	r.samples = slices.CompactFunc(r.samples, func(a, b sample) bool { return a.at.Equal(b.at) })
	r.runs = 1
	last := r.samples[len(r.samples)-1].run
	first := 0
	for i := range r.samples[1:] {
		if r.samples[i].run != r.samples[i+1].run {
			r.runs++
		}
		if r.samples[i].run != last {
			first = i + 1
		}
	}
	r.samples = r.samples[first:]
	traced := func(s sample) bool { return has(&s, keyStarted) || has(&s, keyEnded) }
	if slices.ContainsFunc(r.samples, traced) {
		r.samples = slices.DeleteFunc(r.samples, func(s sample) bool { return !traced(s) })
	}
}

func has(s *sample, key string) bool {
	_, ok := s.values[key]
	return ok
}

// Len returns the number of records.
func (r *Recording) Len() int { return len(r.samples) }
