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
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// bundle is one in the making: its files are in memory until it is written.
type bundle struct {
	manifest Manifest
	files    []content
	room     int64
}

type content struct {
	name  string
	bytes []byte
}

const (
	// bundleNeeds is the memory for the files of a bundle, 32 MiB by default, and for making
	// them. Traces and leak profiles are checked separately.
	bundleNeeds = 64 << 20
	// traceNeeds is the memory for an execution trace, or for the proof of a leak,
	// which begins with a collection.
	traceNeeds = 128 << 20
)

// errFull is the reason for skipping a file that does not fit.
var errFull = errors.New("the bundle would be larger than it may be")

// make collects the evidence, the cheapest and most useful first, and stores it.
func (s *Store) make(ctx context.Context, t *Trigger) (id string, err error) {
	now := time.Now()
	if err := s.bundles.ready(); err != nil {
		return "", err
	}
	b := bundle{room: s.bundles.most()}
	report := s.config.Goroutines()

	s.mu.Lock()
	samples, base := s.history.list(), s.healthy.at(now)
	b.manifest.SkippedCaptures, s.skipped = s.skipped, nil
	s.mu.Unlock()
	var last *runtimeinfo.Snapshot
	if len(samples) > 0 {
		last = samples[len(samples)-1]
	}

	n := runtime.NumGoroutine()
	s.addIfFits(ctx, &b, "goroutine.pb.gz", headroom.Goroutines(n), goroutineProfile)
	b.manifest.Goroutines = n
	s.addBase(ctx, &b, base)
	s.addTrace(ctx, &b, t)
	b.add(ctx, "samples.ndjson.gz", func(_ context.Context, w io.Writer) error { return s.writeSamples(w, samples) })
	b.add(ctx, "spans.json", func(_ context.Context, w io.Writer) error { return writeSpans(w, last, t.Event) })
	b.add(ctx, "build.json", func(_ context.Context, w io.Writer) error { return writeBuild(w) })
	b.add(ctx, "heap.pb.gz", func(_ context.Context, w io.Writer) error { return profileTo("heap", w) })
	s.addIfFits(ctx, &b, "goroutineleak.pb.gz", traceNeeds+headroom.Goroutines(n), func(ctx context.Context, w io.Writer) error {
		return s.writeLeakProfile(ctx, w, report.Survey)
	})
	s.addWatched(ctx, &b, t)

	m := &b.manifest
	m.ID, m.Time, m.Reason, m.Cause, m.First, m.Also = newID(now, t.Cause), now, t.Reason, t.Cause, t.first, t.Also
	m.Event, m.Verdicts, m.GoVersion = eventOf(t.Event), verdictsOf(&report), runtime.Version()
	if base != nil {
		m.BaseTime, m.Groups = base.at, groupsOf(report.Survey, base.survey)
	} else {
		m.Groups = groupsOf(report.Survey, nil)
	}
	if last != nil {
		m.Resource = last.Resource
	}
	return m.ID, s.bundles.put(&b)
}

// addBase adds the goroutines of a time when nothing was wrong.
func (s *Store) addBase(ctx context.Context, b *bundle, healthy *base) {
	b.add(ctx, "goroutine.base.pb.gz", func(_ context.Context, w io.Writer) error {
		if healthy == nil {
			return errors.New("there was no profile of a time when nothing was wrong")
		}
		_, err := w.Write(healthy.profile)
		return err
	})
}

// addTrace adds the trace that came with the trigger, or one of now.
func (s *Store) addTrace(ctx context.Context, b *bundle, t *Trigger) {
	const name = "execution.trace"
	switch {
	case t.Trace != nil:
		b.add(ctx, name, func(_ context.Context, w io.Writer) error {
			_, err := w.Write(t.Trace)
			return err
		})
	case s.config.Trace == nil:
		b.leaveOut(name, errors.New("no recorder was given: see agent.WithRecorder"))
	default:
		s.addIfFits(ctx, b, name, traceNeeds, s.config.Trace.WriteTrace)
	}
}

// addIfFits makes a file for which so many bytes of memory are needed, if there are.
func (s *Store) addIfFits(ctx context.Context, b *bundle, name string, bytes int64, f func(context.Context, io.Writer) error) {
	err := s.fits(bytes)
	if err == nil {
		b.add(ctx, name, f)
		return
	}
	b.leaveOut(name, err)
	s.mu.Lock()
	s.stats.Refused++
	s.mu.Unlock()
	s.config.Logger.Warn("gmpulse: a part of the evidence was not taken", slog.String("part", name), slog.Any("error", err))
}

// addWatched adds what has to be watched for a while, both at once.
func (s *Store) addWatched(ctx context.Context, b *bundle, t *Trigger) {
	done := make(chan content)
	var cpuErr error
	start := time.Now()
	buf := limited{room: b.room / 2} // the other half is for the other
	go func() {
		cpuErr = errors.New("only for what a CPU profile may explain")
		if t.CPU {
			cpuErr = guarded(ctx, s.cpuProfile, &buf)
		}
		done <- content{"cpu.pb.gz", buf.Bytes()}
	}()
	b.add(ctx, "mutex.pb.gz", s.mutexProfile)
	cpu := <-done // it is over when ctx is, like the other
	b.put(cpu, time.Since(start), cpuErr)
}

// add makes a file, or notes why it is not there.
func (b *bundle) add(ctx context.Context, name string, f func(context.Context, io.Writer) error) {
	start := time.Now()
	buf := limited{room: b.room}
	err := guarded(ctx, f, &buf)
	b.put(content{name, buf.Bytes()}, time.Since(start), err)
}

func (b *bundle) put(c content, took time.Duration, err error) {
	if err == nil && int64(len(c.bytes)) > b.room {
		err = errFull
	}
	if err != nil {
		b.leaveOut(c.name, err)
		return
	}
	b.room -= int64(len(c.bytes))
	b.files = append(b.files, c)
	b.manifest.Files = append(b.manifest.Files, File{Name: c.name, Bytes: len(c.bytes), Seconds: took.Seconds()})
}

// leaveOut notes why a file is not there.
func (b *bundle) leaveOut(name string, why error) {
	b.manifest.Skipped = append(b.manifest.Skipped, Skipped{What: name, Why: why.Error()})
}

// guarded calls f, which uses foreign code, unless it is too late.
func guarded(ctx context.Context, f func(context.Context, io.Writer) error, w io.Writer) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return guard.Do(func() error { return f(ctx, w) })
}

// limited is a buffer with an end.
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

// idTime is how the name of a bundle begins, so that they sort by time.
const idTime = "20060102T150405.000Z"

// newID makes the name of a bundle.
func newID(now time.Time, cause string) string {
	var random [3]byte
	_, _ = rand.Read(random[:]) // never fails
	return now.UTC().Format(idTime) + "-" + hex.EncodeToString(random[:]) + "-" + slug(cause)
}

// isID tells a name that newID may have made.
func isID(name string) bool {
	at, rest, _ := strings.Cut(name, "-")
	random, _, found := strings.Cut(rest, "-")
	_, noTime := time.Parse(idTime, at)
	_, noHex := hex.DecodeString(random)
	return found && noTime == nil && noHex == nil && fs.ValidPath(name)
}

// slug makes a part of a file name of a cause: its first word, and nothing that
// a shell or a file system takes for something else.
func slug(cause string) string {
	const most = 40
	word, _, _ := strings.Cut(cause, " ")
	word = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, word)
	return word[:min(len(word), most)]
}

// writeLeakProfile writes a leak profile, unless the last one was taken within the hour.
func (s *Store) writeLeakProfile(ctx context.Context, w io.Writer, last *goroutines.Survey) error {
	const cooldown = time.Hour
	s.mu.Lock()
	tooSoon := !s.leaks.IsZero() && time.Since(s.leaks) < cooldown
	s.mu.Unlock()
	if tooSoon {
		return errors.New("evidence: too soon for another leak profile")
	}
	err := goroutines.WriteLeakProfile(ctx, w, last)
	if err == nil {
		s.mu.Lock()
		s.leaks = time.Now()
		s.mu.Unlock()
	}
	return err
}
