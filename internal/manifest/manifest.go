// SPDX-License-Identifier: Apache-2.0

// Package manifest has the format of the file that describes a bundle of evidence. Package evidence
// writes it, cmd/gmpulse reads it.
package manifest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Name is the name of the manifest in each bundle.
const Name = "manifest.json"

// Manifest describes the incident and the files of a bundle.
type Manifest struct {
	// ID is the name of the bundle's directory.
	ID string `json:"id"`
	// Time is the time of the trigger.
	Time time.Time `json:"time"`
	// Reason, Cause and Also are copied from the evidence.Trigger.
	Reason string `json:"reason"`
	Cause  string `json:"cause"`
	// First reports whether this is the first bundle of its incident.
	First bool     `json:"first,omitempty"`
	Also  []string `json:"also,omitempty"`

	Event    *Event    `json:"event,omitempty"`
	Verdicts []Verdict `json:"verdicts,omitempty"`
	// Groups are at most 20 groups of goroutines: first those that have grown most since
	// BaseTime, then the largest.
	Groups []Group `json:"groups,omitempty"`
	// Goroutines is the number of goroutines.
	Goroutines int `json:"goroutines"`
	// BaseTime is the time of goroutine.base.pb.gz, zero if there is none.
	BaseTime time.Time `json:"base_time,omitzero"`

	Files []File `json:"files"`
	// Compare are the commands that compare a profile with the one of the last healthy time, in
	// the directory of the bundle.
	Compare []string `json:"compare,omitempty"`
	// Skipped lists the files that the bundle lacks.
	Skipped []Skipped `json:"skipped,omitempty"`
	// SkippedCaptures lists the bundles that were not created since the previous one.
	SkippedCaptures []SkippedCapture `json:"skipped_captures,omitempty"`

	GoVersion string             `json:"go_version"`
	Resource  []runtimeinfo.Attr `json:"resource,omitempty"`
}

// Event is the event that triggered a bundle.
type Event struct {
	Time     time.Time      `json:"time"`
	Name     string         `json:"name"`
	Severity string         `json:"severity"`
	Message  string         `json:"message"`
	Attrs    map[string]any `json:"attrs,omitempty"`
	Spans    []Span         `json:"spans,omitempty"`
}

// Span is one local root span.
type Span struct {
	TraceID string    `json:"trace_id"`
	SpanID  string    `json:"span_id"`
	Name    string    `json:"name"`
	Start   time.Time `json:"start"`
	Age     float64   `json:"age_seconds"`
}

// Verdict is a verdict on a group of goroutines, see goroutines.Verdict.
type Verdict struct {
	Kind      string  `json:"kind"`
	Wait      string  `json:"wait"`
	Site      string  `json:"site"`
	Entry     string  `json:"entry"`
	Count     int     `json:"count"`
	Old       int     `json:"old,omitempty"`
	Leaked    int     `json:"leaked,omitempty"`
	PerMinute float64 `json:"growth_per_minute,omitempty"`
	Roots     []Root  `json:"created_under,omitempty"`
	Evidence  string  `json:"evidence,omitempty"`
	Hint      string  `json:"hint,omitempty"`
}

// Root is the name of a root span and the number of goroutines that were created under it.
type Root struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Group is a group of goroutines: its size now and at BaseTime of the manifest.
type Group struct {
	Wait  string `json:"wait"`
	Site  string `json:"site"`
	Entry string `json:"entry"`
	Count int    `json:"count"`
	Base  int    `json:"base"`
}

// File is one file of a bundle.
type File struct {
	Name    string  `json:"name"`
	Bytes   int     `json:"bytes"`
	Seconds float64 `json:"seconds"` // time to create it
}

// Skipped is a file that a bundle lacks.
type Skipped struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// SkippedCapture is a bundle that was not created.
type SkippedCapture struct {
	Time  time.Time `json:"time"`
	Cause string    `json:"cause"`
	Why   string    `json:"why"`
}

// maxSize is larger than any manifest of an evidence.Store.
const maxSize = 4 << 20

// Read reads the manifest of the bundle whose directory is the root of files, such as [fs.Sub] of
// an evidence.Store. It returns an error if the manifest is not a regular file of at most
// 4 MiB. It ignores unknown fields, which a later version may write.
func Read(files fs.FS) (*Manifest, error) {
	info, err := fs.Stat(files, Name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("manifest: %w", err)
	case !info.Mode().IsRegular() || info.Size() > maxSize:
		return nil, fmt.Errorf("manifest: %s is not a regular file of at most %d bytes", Name, maxSize)
	}
	text, err := fs.ReadFile(files, Name)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("manifest: %s: %w", Name, err)
	}
	return m, nil
}
