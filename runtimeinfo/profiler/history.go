// SPDX-License-Identifier: Apache-2.0

package profiler

import (
	"errors"
	"os"
	"slices"
	"sort"
	"sync"
	"time"
)

// Kind is a kind of profile: "cpu", or the name that runtime/pprof uses.
type Kind string

// The kinds.
const (
	CPU       Kind = "cpu"
	Heap      Kind = "heap"
	Goroutine Kind = "goroutine"
)

func kinds() []Kind { return []Kind{CPU, Heap, Goroutine} }

// Profile is a stored profile.
type Profile struct {
	Kind Kind
	// From and To are the time that the profile covers. They are equal for heap and goroutines.
	From, To time.Time
	// Bytes is the compressed size.
	Bytes int

	data []byte // nil if it is in a file
	file string
}

const (
	// maxAge is the age at which a profile is removed.
	maxAge = 24 * time.Hour
	// maxCPU and maxOther bound the profiles of a kind: two and a half hours of CPU profiles at
	// one in 30 s, and ten hours of others. If there are more, old ones are thinned out.
	maxCPU   = 300
	maxOther = 60
)

// history stores compressed profiles. If they are too many or too large, it removes every other one of
// the older ones rather than all of the oldest: the time before a long incident remains, with fewer
// profiles.
type history struct {
	maxBytes int64
	files    *directory // nil: in memory

	mu     sync.Mutex
	byKind map[Kind][]*Profile // oldest first
	bytes  int64
}

// add stores a profile. It returns an error if that is in memory because the directory is not writable.
func (h *history) add(x *Profile, data []byte) (err error) {
	x.Bytes = len(data)
	if h.files != nil {
		x.file, err = h.files.write(x, data)
	}
	if x.file == "" {
		x.data = slices.Clip(slices.Clone(data))
	}
	h.mu.Lock()
	h.byKind[x.Kind] = append(h.byKind[x.Kind], x)
	h.bytes += int64(x.Bytes)
	removed := h.shrink(x.To)
	h.mu.Unlock()
	for _, r := range removed {
		if r.file != "" {
			_ = os.Remove(r.file) // its directory is removed later
		}
	}
	return err
}

// shrink removes profiles until all limits hold. mu is held.
func (h *history) shrink(now time.Time) (removed []*Profile) {
	remove := func(k Kind, i int) {
		x := h.byKind[k][i]
		removed = append(removed, x)
		h.bytes -= int64(x.Bytes)
		h.byKind[k] = slices.Delete(h.byKind[k], i, i+1)
	}
	for _, k := range kinds() {
		most := maxOther
		if k == CPU {
			most = maxCPU
		}
		for len(h.byKind[k]) > 0 && now.Sub(h.byKind[k][0].To) > maxAge {
			remove(k, 0)
		}
		for len(h.byKind[k]) > most {
			remove(k, leastMissed(h.byKind[k], now))
		}
	}
	for h.bytes > h.maxBytes {
		k := h.largest()
		remove(k, leastMissed(h.byKind[k], now))
	}
	return removed
}

// largest returns the kind whose profiles have the most bytes. mu is held.
func (h *history) largest() (kind Kind) {
	most := -1
	for _, k := range kinds() {
		sum := 0
		for _, x := range h.byKind[k] {
			sum += x.Bytes
		}
		if sum > most {
			kind, most = k, sum
		}
	}
	return kind
}

// leastMissed returns the profile to remove: the one that leaves the smallest gap, compared with its
// age. Neither the oldest nor the newest is removed unless there are only two.
func leastMissed(list []*Profile, now time.Time) (index int) {
	least := 0.0
	for i := 1; i < len(list)-1; i++ {
		gap := list[i+1].To.Sub(list[i-1].To).Seconds()
		age := now.Sub(list[i].To).Seconds() + 1
		if relative := gap / age; index == 0 || relative < least {
			index, least = i, relative
		}
	}
	return index
}

// size returns the size of all profiles in bytes.
func (h *history) size() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bytes
}

// within returns the profiles of a kind that ended within a range, oldest first.
func (h *history) within(k Kind, from, to time.Time) (found []Profile) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.byKind[k]
	i := sort.Search(len(list), func(i int) bool { return !list[i].To.Before(from) })
	for _, x := range list[i:] {
		if x.To.After(to) {
			break
		}
		found = append(found, *x)
	}
	return found
}

// removeFiles removes the profiles on disk. Those in memory remain.
func (h *history) removeFiles() {
	if h.files == nil {
		return
	}
	h.mu.Lock()
	for k := range h.byKind {
		h.byKind[k] = slices.DeleteFunc(h.byKind[k], func(x *Profile) bool { return x.file != "" })
	}
	h.mu.Unlock()
	h.files.remove()
}

// Profiles returns the stored profiles of a kind that ended between from and to, oldest first. A zero
// to means now.
func (p *Profiler) Profiles(k Kind, from, to time.Time) []Profile {
	if p == nil {
		return nil
	}
	if to.IsZero() {
		to = time.Now()
	}
	return p.history.within(k, from, to)
}

// ErrGone is the error of [Profiler.Read] if the profile was removed.
var ErrGone = errors.New("profiler: the profile was removed")

// Read returns a stored profile, compressed, in the format of go tool pprof. The caller must not change
// it.
func (p *Profiler) Read(x Profile) ([]byte, error) {
	if x.file == "" {
		return x.data, nil
	}
	data, err := os.ReadFile(x.file)
	if errors.Is(err, os.ErrNotExist) {
		err = ErrGone
	}
	return data, err
}
