// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

// Errors of Prover.Prove that say why there was no proof.
var (
	// ErrUnprovable: this runtime cannot prove leaks. See [Provable].
	ErrUnprovable = errors.New("goroutines: this runtime has no goroutineleak profile")
	// ErrProofTooDear: the pause might be long.
	ErrProofTooDear = errors.New("goroutines: a proof would cost too much")
	// ErrProofTooSoon: another proof runs, or the last is not long ago.
	ErrProofTooSoon = errors.New("goroutines: too soon for another proof")
)

const (
	leakProfile = "goroutineleak"
	// A survey that is older says too little about who waits now.
	maxSurveyAge = time.Minute
	// The garbage collector walks the waiters of a lock once for each of them,
	// with the world stopped: 1.4–3.6 ns × n², 4 ms at a thousand, 4–8 s at fifty
	// thousand. Which lock it is no profile tells, only where it is taken, so
	// there are two bounds: for one place, and for all of one kind.
	maxWaiters    = 1_000
	maxAllWaiters = 4 * maxWaiters // 60 ms if it is one lock after all
	// The world stands still in proportion to the goroutines: half a millisecond
	// for so many, ten for 100,000 (benchmarks/cost, Go 1.27).
	maxProvable = 10_000
)

// Provable tells whether the runtime can prove that a goroutine leaks: from Go
// 1.27 on, or in Go 1.26 built with GOEXPERIMENT=goroutineleakprofile.
func Provable() bool { return pprof.Lookup(leakProfile) != nil }

// ProverConfig is the configuration of a Prover.
type ProverConfig struct {
	Config
	// Cooldown is the least time from one proof to the next. Zero or less: a minute.
	Cooldown time.Duration
}

// Prover has the garbage collector prove leaks: a goroutine is leaked when it
// waits for something that no goroutine that can still run can reach. It finds
// about half of the ways to leak; not those that wait for a connection, a timer,
// or a global variable. Make one with NewProver. Its methods are safe for
// concurrent use.
type Prover struct {
	config   Config
	cooldown time.Duration

	mu           sync.Mutex
	running      bool
	next         time.Time
	broken       error
	before, last map[Key]int // what the last two proofs found
}

// NewProver returns a Prover.
func NewProver(c ProverConfig) *Prover {
	if c.Cooldown <= 0 {
		c.Cooldown = time.Minute
	}
	return &Prover{config: c.withDefaults(maxProvable), cooldown: c.Cooldown}
}

// Prove returns the leaked goroutines, in groups whose keys are those of a
// survey. Births, Agent and Rest are as in a survey; CPU is what the process
// used meanwhile.
//
// It forces a garbage collection, which is why it needs last, a survey at most a
// minute old: it does nothing (ErrProofTooDear) where more than 1,000 goroutines
// wait for a Mutex, RWMutex or WaitGroup at one place, or 4,000 in all, and above
// Config.MaxGoroutines. The other errors are ErrUnprovable, ErrProofTooSoon,
// ErrProfiler as in [Surveyor.Take], or that of ctx, which cannot interrupt it.
func (p *Prover) Prove(ctx context.Context, last *Survey) (*Survey, error) {
	if !Provable() {
		return nil, ErrUnprovable
	}
	if err := p.affordable(last); err != nil {
		return nil, err
	}
	if err := p.begin(); err != nil {
		return nil, err
	}
	s, process, err := take(ctx, leakProfile, p.config, "")
	p.end(s, err)
	if err != nil {
		return nil, err
	}
	if process > 0 {
		s.CPU = process // a collection runs on several cores
	}
	return s, nil
}

// Proven returns how many goroutines with key k are proven leaked: the lesser
// of what the last two proofs found. One alone may err (golang/go#79452).
func (p *Prover) Proven(k Key) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(p.before[k], p.last[k])
}

// affordable returns nil if a proof will pause the process but shortly.
func (p *Prover) affordable(last *Survey) error {
	if last == nil || time.Since(last.Time) > maxSurveyAge {
		return fmt.Errorf("%w: no recent survey", ErrProofTooDear)
	}
	if n := max(last.Goroutines, runtime.NumGoroutine()); n > p.config.MaxGoroutines {
		return fmt.Errorf("%w: %d goroutines, the cap is %d", ErrProofTooDear, n, p.config.MaxGoroutines)
	}
	var all [numWaitClasses]int
	for i := range last.Groups {
		g := &last.Groups[i]
		if !queues(g.Class) {
			continue
		}
		all[g.Class] += g.Count
		if g.Count > maxWaiters || all[g.Class] > maxAllWaiters {
			return fmt.Errorf("%w: %d goroutines in %s, of which %d at %s",
				ErrProofTooDear, all[g.Class], g.Class, g.Count, g.Site)
		}
	}
	return nil
}

// queues tells the classes whose waiters the collector walks in a list.
func queues(c WaitClass) bool {
	return c.Family() == FamilyLock || c.Family() == FamilyWaitGroup
}

// begin reserves the one place for a proof.
func (p *Prover) begin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return p.broken
	}
	if p.running || time.Now().Before(p.next) {
		return ErrProofTooSoon
	}
	p.running = true
	return nil
}

// release gives the place back.
func (p *Prover) release(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = false
	p.next = time.Now().Add(p.cooldown)
	if errors.Is(err, ErrProfiler) {
		p.broken = err
	}
}

func (p *Prover) end(s *Survey, err error) {
	p.release(err)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before, p.last = p.last, make(map[Key]int, len(s.Groups))
	for i := range s.Groups {
		p.last[s.Groups[i].Key] = s.Groups[i].Count
	}
}
