// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

const (
	// minBaseAge is the minimum age of a profile that a bundle is compared with, if there is one. A
	// newer one may show the beginning of the incident.
	minBaseAge = 2 * time.Minute
	// maxMerged is the number of CPU profiles that are merged, and mergeNeeds the memory for it.
	maxMerged  = 60
	mergeNeeds = 64 << 20
)

var errNoBase = errors.New("there is no profile from before the incident")

// baseOf returns the profiles of the last healthy time.
func (s *Store) baseOf(k profiler.Kind, now time.Time) []profiler.Profile {
	if older := s.config.Profiler.Healthy(k, now.Add(-minBaseAge)); len(older) > 0 {
		return older
	}
	return s.config.Profiler.Healthy(k, now)
}

// addBase adds the last healthy profile of a kind, and the command that compares it with the profile of
// the incident. It returns the profile and when it was taken.
func (s *Store) addBase(ctx context.Context, b *bundle, k profiler.Kind, now time.Time) (data []byte, at time.Time) {
	name := string(k) + ".base.pb.gz"
	b.add(ctx, name, func(_ context.Context, w io.Writer) (err error) {
		found := s.baseOf(k, now)
		if len(found) == 0 {
			return errNoBase
		}
		if data, err = s.config.Profiler.Read(found[len(found)-1]); err != nil {
			return err
		}
		at = found[len(found)-1].To
		_, err = w.Write(data)
		return err
	})
	b.compare(string(k))
	return data, at
}

// addBaseCPU adds the merged CPU profiles of the last healthy hour, scaled to the duration of the CPU
// profile of the incident.
func (s *Store) addBaseCPU(ctx context.Context, b *bundle, now time.Time) {
	b.add(ctx, "cpu.base.pb.gz", func(ctx context.Context, w io.Writer) error {
		found := s.baseOf(profiler.CPU, now)
		if len(found) == 0 {
			return errNoBase
		}
		if err := s.fits(mergeNeeds); err != nil {
			return err
		}
		merged, err := s.merge(ctx, found[max(0, len(found)-maxMerged):])
		if err != nil {
			return err
		}
		merged.Scale(float64(s.config.ProfileFor) / float64(max(1, merged.DurationNanos)))
		merged.DurationNanos = s.config.ProfileFor.Nanoseconds()
		return merged.Write(w)
	})
	b.compare("cpu")
}

// merge returns the sum of profiles.
func (s *Store) merge(ctx context.Context, list []profiler.Profile) (*profile.Profile, error) {
	all := make([]*profile.Profile, 0, len(list))
	for _, x := range list {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		data, err := s.config.Profiler.Read(x)
		if errors.Is(err, profiler.ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		p, err := profiles.Decode(data)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, errNoBase
	}
	return profile.Merge(all)
}

// compare adds the command that compares a profile with the base profile, if the bundle has both.
func (b *bundle) compare(kind string) {
	now, base := kind+".pb.gz", kind+".base.pb.gz"
	if b.has(now) && b.has(base) {
		b.manifest.Compare = append(b.manifest.Compare, fmt.Sprintf("go tool pprof -http=: -diff_base %s %s", base, now))
	}
}

func (b *bundle) has(name string) bool {
	return slices.ContainsFunc(b.files, func(c content) bool { return c.name == name })
}

// surveyOf returns the survey of a goroutine profile, or nil.
func (s *Store) surveyOf(goroutineProfile []byte) *goroutines.Survey {
	if goroutineProfile == nil || s.fits(headroom.Parsing(profiles.Size(goroutineProfile))) != nil {
		return nil
	}
	survey, err := goroutines.ParseSurvey(goroutineProfile, goroutines.SurveyConfig{})
	if err != nil {
		return nil
	}
	return survey
}
