// SPDX-License-Identifier: Apache-2.0

package profiler

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"
	"unique"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/agentlabel"
	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/profiles"
)

const (
	// cpuNeeds is the memory that a CPU profile may take: buffers of the runtime, and reading it.
	cpuNeeds = 8 << 20
	// stopTime is how long the runtime takes to end a CPU profile: it wakes every 100 ms.
	stopTime = time.Second
)

// cpuProfile is a CPU profile in progress.
type cpuProfile struct {
	interrupt func()        // ends it early
	early     chan struct{} // closed by interrupt
	done      chan struct{} // closed when the CPU profiler is free

	out      output
	start    time.Time
	duration time.Duration
	process  time.Duration // CPU time of the process during the profile
	end      time.Duration // CPU time of the process until its end
}

// Suspend ends the CPU profile in progress, if any, and waits until the CPU profiler of the process
// is free: about 0.2 s, at most the rest of the profile. It returns early if ctx is done. The
// Profiler takes no CPU profile until resume is called, and counts those that it misses. A profile
// that Suspend has ended early counts with its duration.
func (p *Profiler) Suspend(ctx context.Context) (resume func()) {
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	p.suspended++
	running := p.running
	p.mu.Unlock()
	if running != nil {
		running.interrupt()
		_ = profiles.Wait(ctx, running.done, p.config.For+stopTime) // the caller knows whether ctx is done
	}
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.suspended--
	})
}

// takeCPU takes a CPU profile and adds it to the usage, or counts why it could not.
func (p *Profiler) takeCPU(ctx context.Context) {
	if p.backoff.skip() {
		p.missed(missedBusy, nil)
		return
	}
	if err := p.fits(cpuNeeds); err != nil {
		p.missed(missedMemory, err)
		return
	}
	x := p.beginCPU()
	if x == nil {
		p.missed(missedSuspended, nil)
		return
	}
	err := p.profileFor(ctx, x)
	p.endCPU(x)
	switch {
	case ctx.Err() != nil: // the agent stops
		return
	case err != nil:
		p.backoff.busy(int(maxEvery / p.config.Every))
		p.missed(missedBusy, err)
		return
	}
	p.backoff = backoff{}
	meter := cputime.Start()
	defer func() { p.spend(meter.Stop()) }()
	if err := guard.Do(func() error { return p.addCPU(x) }); err != nil {
		p.missed(missedFailed, err)
		return
	}
	p.recovered()
}

// backoff skips periods while other code uses the CPU profiler. Only the goroutine of cycle uses it.
type backoff struct{ next, left int }

// busy skips the next periods: none, two, six and so on.
func (b *backoff) busy(most int) {
	b.left = min(b.next, most)
	b.next = min(2*b.next+2, most)
}

// skip reports whether to skip a period.
func (b *backoff) skip() bool {
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}

// beginCPU makes a profile the one in progress. It returns nil while the Profiler is suspended.
func (p *Profiler) beginCPU() *cpuProfile {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.suspended > 0 {
		return nil
	}
	early := make(chan struct{})
	p.running = &cpuProfile{interrupt: sync.OnceFunc(func() { close(early) }), early: early, done: make(chan struct{})}
	return p.running
}

func (p *Profiler) endCPU(x *cpuProfile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = nil
	close(x.done)
}

// profileFor profiles for Config.For, or until Suspend is called. It returns an error if the CPU
// profiler is in use.
func (p *Profiler) profileFor(ctx context.Context, x *cpuProfile) error {
	if err := p.startCPU(&x.out); err != nil {
		return err
	}
	x.start = time.Now()
	before := cputime.Process()
	_ = profiles.Wait(ctx, x.early, p.config.For) // takeCPU asks whether ctx is done
	x.end, x.duration = cputime.Process(), time.Since(x.start)
	x.process = x.end - before
	if x.out.complete() { // other code has ended our profile, and may have begun its own
		return errEnded
	}
	p.stopCPU()
	return nil
}

var errEnded = errors.New("other code has called pprof.StopCPUProfile")

// addCPU reads a profile and adds it to the usage.
func (p *Profiler) addCPU(x *cpuProfile) error {
	data := x.out.bytes()
	decoded, err := profiles.Decode(data)
	if err != nil {
		return err
	}
	sampled, err := p.read(decoded)
	if err != nil {
		return err
	}
	end := x.start.Add(x.duration)
	p.store(&Profile{Kind: CPU, From: x.start, To: end}, data)
	sampled.to, sampled.observed, sampled.length = end, x.process.Seconds(), x.duration.Seconds()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.usage.add(sampled, x.end)
	return nil
}

// missed counts a CPU profile that was not taken. It logs the first of several failures.
func (p *Profiler) missed(why missReason, err error) {
	p.mu.Lock()
	p.stats.missed[why]++
	p.usage.missed++
	report := why != missedSuspended && !p.cpuFails
	p.cpuFails = p.cpuFails || report
	p.mu.Unlock()
	if report {
		p.config.Logger.Info("gmpulse: CPU profiles of the duty cycle are missed", slog.String("reason", string(why)), slog.Any("error", err))
	}
}

// recovered logs that profiles are taken again.
func (p *Profiler) recovered() {
	p.mu.Lock()
	report := p.cpuFails
	p.cpuFails = false
	p.mu.Unlock()
	if report {
		p.config.Logger.Info("gmpulse: CPU profiles of the duty cycle are taken again")
	}
}

func (p *Profiler) spend(cost time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.cost += cost
}

// output receives a profile from the goroutine of runtime/pprof.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write never returns an error.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Bytes()
}

// complete reports whether the runtime has written the end of the profile. Most of it is written
// there, so that this costs nothing before.
func (o *output) complete() bool {
	z, err := gzip.NewReader(bytes.NewReader(o.bytes()))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, z)
	return err == nil
}

// Owners of CPU time.
type owner uint8

const (
	ownerSpan    owner = iota // a root span
	ownerNone                 // code of the application without a root span
	ownerRuntime              // garbage collector, scheduler and other work of the runtime
	ownerAgent                // gmpulse
	numOwners
)

func (o owner) String() string { return [...]string{"span", "none", "runtime", "agent"}[o] }

// read counts the samples of a CPU profile by owner.
func (p *Profiler) read(cpu *profile.Profile) (*period, error) {
	if len(cpu.SampleType) < 2 || cpu.SampleType[1].Unit != "nanoseconds" {
		return nil, errors.New("not a CPU profile")
	}
	x := &period{}
	roots := map[string]int{} // index in x.roots, by name
	for _, s := range cpu.Sample {
		n, seconds := s.Value[0], time.Duration(s.Value[1]).Seconds()
		o := p.ownerOf(s)
		x.samples += n
		x.sampled[o] += seconds
		if o != ownerSpan {
			continue
		}
		name := p.rootOf(s)
		i, ok := roots[name]
		if !ok {
			i = len(x.roots)
			roots[name] = i
			x.roots = append(x.roots, rootSample{name: unique.Make(name)})
		}
		x.roots[i].samples += n
		x.roots[i].seconds += seconds
	}
	return x, nil
}

func (p *Profiler) ownerOf(s *profile.Sample) owner {
	switch {
	case len(s.Label[p.config.RootLabel]) > 0:
		return ownerSpan
	case len(s.Label[agentlabel.Key]) > 0:
		return ownerAgent
	case ofRuntime(s):
		return ownerRuntime
	default:
		return ownerNone
	}
}

// rootOf returns the name of the root span of a sample.
func (p *Profiler) rootOf(s *profile.Sample) string {
	const cut = 40 // labels of this length may be the beginning of a longer name
	value := s.Label[p.config.RootLabel][0]
	epoch := s.Label[p.config.EpochLabel]
	if p.config.Origin == nil || len(value) < cut || len(epoch) == 0 {
		return value
	}
	if o, ok := p.config.Origin(value, epoch[0]); ok && len(o.Names) == 1 {
		return o.Names[0]
	}
	return value
}

// ofRuntime reports whether the goroutine or thread of a sample began in the runtime: workers of
// the garbage collector, the scheduler, the monitor, and what the profiler could not unwind.
func ofRuntime(s *profile.Sample) bool {
	if len(s.Location) == 0 {
		return true
	}
	lines := s.Location[len(s.Location)-1].Line
	if len(lines) == 0 {
		return false // C without symbols
	}
	f := lines[len(lines)-1].Function
	if f == nil || f.Name == "runtime.main" || f.Name == "runtime.goexit" {
		return false
	}
	return len(f.Name) > len(runtimePrefix) && f.Name[:len(runtimePrefix)] == runtimePrefix
}

const runtimePrefix = "runtime."
