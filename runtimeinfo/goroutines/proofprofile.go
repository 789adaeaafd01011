// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"context"
	"fmt"
	"io"
	"runtime/pprof"
)

// WriteProfile writes the profile of leaked goroutines, in the form that go tool
// pprof opens, under the guards and with the cooldown of [Prover.Prove]. It is for
// evidence: [Prover.Proven] does not go by it.
func (p *Prover) WriteProfile(ctx context.Context, last *Survey, w io.Writer) (err error) {
	if !Provable() {
		return ErrUnprovable
	}
	if err := p.affordable(last); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.begin(); err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrProfiler, r)
		}
		p.release(err)
	}()
	return pprof.Lookup(leakProfile).WriteTo(w, 0)
}
