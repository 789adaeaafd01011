package goroutines

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// rollTimeout bounds a roll call, which works for about 3 µs on each goroutine.
const rollTimeout = 10 * time.Second

// CallRoll takes a roll call if one would tell something, the last is long enough
// ago, and it can be afforded. Run calls it after each survey; tests and tools that
// have surveys of their own may, after Consider.
func (d *Detective) CallRoll(ctx context.Context) {
	now, n := time.Now(), runtime.NumGoroutine()
	if !d.asksForRoll(now) {
		return
	}
	if !d.governor.Borrow(now, n) {
		d.noRoll() // a verdict must not wait for what cannot be paid for
		return
	}
	before := processCPU()
	members, err := rollCall(ctx, d.config.RollCaller)
	cost := time.Since(now)
	if used := processCPU() - before; used > 0 {
		cost = min(cost, used)
	}
	d.governor.Spend(now, n, cost)
	d.heed(now, members, err)
}

// rollCall bounds a roll call and turns its panic into an error.
func rollCall(ctx context.Context, r RollCaller) (members []Member, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, rollTimeout, errors.New("goroutines: the roll call took too long"))
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("goroutines: the roll call panicked: %v", p)
		}
	}()
	return r.RollCall(ctx)
}

// asksForRoll tells whether a roll call is asked for, and the last try is long ago.
func (d *Detective) asksForRoll(now time.Time) bool {
	if d.config.RollCaller == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cases.asks && (d.rollTried.IsZero() || now.Sub(d.rollTried) >= d.cases.apart())
}

// noRoll tells the verdicts that there will be no roll call for now.
func (d *Detective) noRoll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cases.rolling = false
}

// heed takes the roll that was called at a moment, or the error that there was
// instead.
func (d *Detective) heed(at time.Time, members []Member, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rollTried = at
	d.cases.rolling = err == nil
	if err != nil {
		d.rollFailed++
		return
	}
	d.rolled++
	d.cases.cohorts.add(at, d.cases.apart(), members)
}
