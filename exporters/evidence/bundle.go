// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/manifest"
	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// bundle is a bundle whose files are still in memory.
type bundle struct {
	manifest manifest.Manifest
	files    []content
	room     int64 // bytes left for files
}

// content is a file of a bundle.
type content struct {
	name  string
	bytes []byte
}

const (
	// bundleNeeds is the memory for creating a bundle without an execution trace and a leak
	// profile: 32 MiB of files by default, and the same amount for creating them.
	bundleNeeds = 64 << 20
	// traceNeeds is the memory for an execution trace or for a leak profile, which begins
	// with a garbage collection.
	traceNeeds = 128 << 20
)

// errFull is the reason for skipping a file that does not fit.
var errFull = errors.New("the bundle would be larger than the limit")

// collect creates the files of a bundle, the cheapest and most useful first, and stores it.
func (s *Store) collect(ctx context.Context, t *Trigger) (id string, err error) {
	now := time.Now()
	if err := s.bundles.ready(); err != nil {
		return "", err
	}
	b := bundle{room: s.bundles.maxSize()}
	report := s.config.Goroutines()

	s.mu.Lock()
	samples := slices.Clone(s.history)
	b.manifest.SkippedCaptures, s.skipped = s.skipped, nil
	s.mu.Unlock()
	var last *runtimeinfo.Snapshot
	if len(samples) > 0 {
		last = samples[len(samples)-1]
	}

	n := runtime.NumGoroutine()
	s.addIfFits(ctx, &b, "goroutine.pb.gz", headroom.Goroutines(n), goroutineProfile)
	b.manifest.Goroutines = n
	base, baseTime := s.addBase(ctx, &b, profiler.Goroutine, now)
	s.addTrace(ctx, &b, t)
	b.add(ctx, "samples.ndjson.gz", func(_ context.Context, w io.Writer) error { return writeSamples(w, samples) })
	b.add(ctx, "spans.json", func(_ context.Context, w io.Writer) error { return writeSpans(w, last, t.Event) })
	b.add(ctx, "build.json", func(_ context.Context, w io.Writer) error { return writeBuild(w) })
	b.add(ctx, "heap.pb.gz", func(_ context.Context, w io.Writer) error { return profiles.Write(w, "heap", false) })
	s.addBase(ctx, &b, profiler.Heap, now)
	s.addIfFits(ctx, &b, "goroutineleak.pb.gz", traceNeeds+headroom.Goroutines(n), func(ctx context.Context, w io.Writer) error {
		return s.writeLeakProfile(ctx, w, report.Survey)
	})
	s.addTimedProfiles(ctx, &b, t)
	if t.CPU {
		s.addBaseCPU(ctx, &b, now)
	}

	m := &b.manifest
	m.ID, m.Time, m.Reason, m.Cause, m.First, m.Also = newID(now, t.Cause), now, t.Reason, t.Cause, t.first, t.also
	m.Event, m.Verdicts, m.GoVersion = eventOf(t.Event), verdictsOf(&report), runtime.Version()
	m.BaseTime, m.Groups = baseTime, groupsOf(report.Survey, s.surveyOf(base))
	if last != nil {
		m.Resource = last.Resource
	}
	return m.ID, s.bundles.put(&b)
}

// addTrace adds the trace of the trigger or, if it has none, a new one.
func (s *Store) addTrace(ctx context.Context, b *bundle, t *Trigger) {
	const name = "execution.trace"
	switch {
	case t.Trace != nil:
		b.add(ctx, name, func(_ context.Context, w io.Writer) error {
			_, err := w.Write(t.Trace)
			return err
		})
	case s.config.Trace == nil:
		b.skip(name, errors.New("there is no recorder: see agent.WithRecorder"))
	default:
		s.addIfFits(ctx, b, name, traceNeeds, s.config.Trace)
	}
}

// addIfFits adds a file if the memory that f needs is available.
func (s *Store) addIfFits(ctx context.Context, b *bundle, name string, needs int64, f func(context.Context, io.Writer) error) {
	err := s.fits(needs)
	if err == nil {
		b.add(ctx, name, f)
		return
	}
	b.skip(name, err)
	s.mu.Lock()
	s.stats.refused++
	s.mu.Unlock()
	s.config.Logger.Warn("gmpulse: a file of a bundle of evidence was not created", slog.String("file", name), slog.Any("error", err))
}

// addTimedProfiles adds the CPU and mutex profiles, which it takes concurrently.
func (s *Store) addTimedProfiles(ctx context.Context, b *bundle, t *Trigger) {
	done := make(chan content)
	var cpuErr error
	start := time.Now()
	buf := limited{room: b.room / 2} // the other half is for the mutex profile
	go func() {
		cpuErr = errors.New("a CPU profile does not explain this cause")
		if t.CPU {
			cpuErr = guarded(ctx, s.cpuProfile, &buf)
		}
		done <- content{"cpu.pb.gz", buf.Bytes()}
	}()
	b.add(ctx, "mutex.pb.gz", s.mutexProfile)
	cpu := <-done // ends when ctx is done
	b.put(cpu, time.Since(start), cpuErr)
}

// add adds the file that f writes, or records the error of f.
func (b *bundle) add(ctx context.Context, name string, f func(context.Context, io.Writer) error) {
	start := time.Now()
	buf := limited{room: b.room}
	err := guarded(ctx, f, &buf)
	b.put(content{name, buf.Bytes()}, time.Since(start), err)
}

// put adds a file, or records err.
func (b *bundle) put(c content, took time.Duration, err error) {
	if err == nil && int64(len(c.bytes)) > b.room {
		err = errFull
	}
	if err != nil {
		b.skip(c.name, err)
		return
	}
	b.room -= int64(len(c.bytes))
	b.files = append(b.files, c)
	b.manifest.Files = append(b.manifest.Files, manifest.File{Name: c.name, Bytes: len(c.bytes), Seconds: took.Seconds()})
}

// skip records why the bundle lacks a file.
func (b *bundle) skip(name string, why error) {
	b.manifest.Skipped = append(b.manifest.Skipped, manifest.Skipped{What: name, Why: why.Error()})
}

// guarded calls f, unless ctx is done, and recovers its panics.
func guarded(ctx context.Context, f func(context.Context, io.Writer) error, w io.Writer) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return guard.Do(func() error { return f(ctx, w) })
}

// limited is a buffer with a maximum size.
type limited struct {
	bytes.Buffer
	room int64
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(l.Len()+len(p)) > l.room {
		return 0, errFull
	}
	return l.Buffer.Write(p)
}

// idTime is the time format at the beginning of an ID, so that IDs sort by time.
const idTime = "20060102T150405.000Z"

// newID returns the ID of a new bundle.
func newID(now time.Time, cause string) string {
	var random [3]byte
	_, _ = rand.Read(random[:]) // never fails
	return now.UTC().Format(idTime) + "-" + hex.EncodeToString(random[:]) + "-" + slug(cause)
}

// isID reports whether name has the form of an ID.
func isID(name string) bool {
	at, rest, _ := strings.Cut(name, "-")
	random, _, found := strings.Cut(rest, "-")
	_, noTime := time.Parse(idTime, at)
	_, noHex := hex.DecodeString(random)
	return found && noTime == nil && noHex == nil && fs.ValidPath(name)
}

// slug returns the first word of a cause with only letters, digits and hyphens.
func slug(cause string) string {
	const maxLength = 40
	word, _, _ := strings.Cut(cause, " ")
	word = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, word)
	return word[:min(len(word), maxLength)]
}

// writeLeakProfile writes a leak profile, unless the last one is less than an hour old.
func (s *Store) writeLeakProfile(ctx context.Context, w io.Writer, last *goroutines.Survey) error {
	const cooldown = time.Hour
	s.mu.Lock()
	tooSoon := !s.leaks.IsZero() && time.Since(s.leaks) < cooldown
	s.mu.Unlock()
	if tooSoon {
		return errors.New("evidence: the last leak profile is less than an hour old")
	}
	err := goroutines.WriteLeakProfile(ctx, w, last)
	if err == nil {
		s.mu.Lock()
		s.leaks = time.Now()
		s.mu.Unlock()
	}
	return err
}
