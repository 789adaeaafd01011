// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"context"
	"time"
)

var (
	WaitClassOf      = waitClassOf
	Frames           = frames
	NewSurveyor      = newSurveyor
	HasLeakProfile   = hasLeakProfile
	ErrTooMany       = errTooMany
	ErrNoLeakProfile = errNoLeakProfile
	ErrTooSoon       = errTooSoon
)

func (s *surveyor) Take(ctx context.Context) (*Survey, error) { return s.take(ctx) }
func (s *surveyor) Limit(most int)                            { s.most = most }

func NewLeakProfiler(cooldown time.Duration) *leakProfiler { return &leakProfiler{cooldown: cooldown} }

func (p *leakProfiler) Take(ctx context.Context, last *Survey) error { return p.take(ctx, last) }
func (p *leakProfiler) Leaked(k Key) int                             { return p.leaked(k) }

func (c WaitClass) Family() string { return c.family() }
