// SPDX-License-Identifier: Apache-2.0

package otlpprofiles

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime/pprof"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/profiles/v1development"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	pb "go.opentelemetry.io/proto/slim/otlp/profiles/v1development"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/otlp/internal/identity"
	"github.com/gmpulse/gmpulse/internal/agentlabel"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// run sends the profiles of the queue. It returns when ctx is done, or after Shutdown when the queue is empty.
func (e *Exporter) run(ctx context.Context) {
	defer close(e.done)
	defer e.abandon()
	pprof.Do(ctx, pprof.Labels(agentlabel.Key, "otlpprofiles"), func(ctx context.Context) {
		select {
		case <-e.first:
		case <-time.After(maxWait): // there is no agent
		case <-e.closing:
		case <-ctx.Done():
		}
		pace := backoff{}
		for x := e.next(ctx); x != nil; x = e.next(ctx) {
			err := e.send(ctx, x)
			retry, again := errors.AsType[*retryError](err)
			if !again {
				e.note(err, func() { e.count(x, err) })
				pace = backoff{}
				continue
			}
			e.note(err, func() { e.requeue(x) })
			pace.sleep(ctx, retry.after, e.closing) // next returns nil when ctx is done
		}
	})
}

// maxWait is how long the first profile waits for the first snapshot. An agent begins to take profiles before it
// has delivered one.
const maxWait = time.Second

// next waits for the oldest profile and removes it from the queue. It returns nil when ctx is done, and after
// Shutdown if there is none.
func (e *Exporter) next(ctx context.Context) *item {
	for ctx.Err() == nil {
		if x := e.take(); x != nil || isClosed(e.closing) {
			return x
		}
		select {
		case <-e.wake:
		case <-e.closing:
		case <-ctx.Done():
		}
	}
	return nil
}

// take removes the oldest profile from the queue, or returns nil.
func (e *Exporter) take() *item {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		return nil
	}
	x := e.queue[0]
	e.queue[0] = nil
	e.queue = e.queue[1:]
	e.bytes -= x.size()
	return x
}

// requeue puts a profile back, as the oldest in the queue. It is dropped if it does not fit any more. e.mu is
// held.
func (e *Exporter) requeue(x *item) {
	e.queue = append([]*item{x}, e.queue...)
	e.bytes += x.size()
	e.shrink()
}

// count counts a profile for which there is no other attempt. e.mu is held.
func (e *Exporter) count(x *item, err error) {
	account := &e.stats.Snapshots
	var partial *partialError
	switch {
	case err == nil, errors.As(err, &partial) && partial.rejected < int64(x.profiles):
		account.Delivered++
	case errors.Is(err, headroom.ErrShort):
		account.Drop(exporters.DropFailed, 1)
	case x.body == nil:
		account.Drop(exporters.DropUnreadable, 1)
	default:
		account.Drop(exporters.DropRejected, 1)
	}
}

// note notes the outcome of an attempt, calls f with e.mu held, and logs if the state has changed. An answer that
// rejects a part is logged once, because a server may do that to each request.
func (e *Exporter) note(err error, f func()) {
	e.mu.Lock()
	was, told := e.stats.State, e.toldPartial
	_, partial := errors.AsType[*partialError](err)
	if err != nil {
		guard.CountFailure(&e.stats, err)
	}
	if err == nil || partial {
		e.stats.State, e.stats.LastSuccess = exporters.StateOK, time.Now()
	}
	e.toldPartial = told || partial
	f()
	e.mu.Unlock()
	switch {
	case partial && !told:
		e.config.Logger.Warn("gmpulse: the server did not take all profiles; this is logged once", slog.Any("error", err))
	case partial:
		guard.LogChange(e.config.Logger, was, nil)
	default:
		guard.LogChange(e.config.Logger, was, err)
	}
}

// abandon drops what is still in the queue.
func (e *Exporter) abandon() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Snapshots.Drop(exporters.DropShutdown, uint64(len(e.queue)))
	e.queue, e.bytes = nil, 0
	e.stats.State = exporters.StateStopped
}

// send makes one attempt to send a profile. It converts the profile at the first attempt.
func (e *Exporter) send(ctx context.Context, x *item) error {
	if x.body == nil {
		if err := headroom.Check(expansion * profiles.Size(x.data)); err != nil {
			return err
		}
		if err := guard.Do(func() error { return e.encode(x) }); err != nil { //nolint:contextcheck // the attributes of the SDK need no context
			return err
		}
	}
	if x.profiles == 0 {
		return nil
	}
	return e.post(ctx, x.body)
}

// encode converts a profile to the body of a request.
func (e *Exporter) encode(x *item) error {
	src, err := profiles.Decode(x.data)
	if err != nil {
		return err
	}
	x.complete(src)
	c := conversion{src: src, about: x}
	if !e.config.NoLinks {
		c.example = func(root string) *runtimeinfo.Span {
			return e.examples.find(root, x.start, x.duration)
		}
	}
	dictionary, all := c.convert()
	of := resourceOf(e.snapshot.Load())
	of.ScopeProfiles[0].Profiles = all
	body, err := proto.Marshal(&collectorpb.ExportProfilesServiceRequest{Dictionary: dictionary, ResourceProfiles: []*pb.ResourceProfiles{of}})
	if err != nil {
		return err
	}
	if !e.config.Uncompressed {
		body = packed(body)
	}
	x.data, x.body, x.profiles = nil, body, len(all)
	return nil
}

// resourceOf returns the resource and the scope of a snapshot, or the SDK's resource if s is nil.
func resourceOf(s *runtimeinfo.Snapshot) *pb.ResourceProfiles {
	r := resource.Default()
	if s != nil {
		r = identity.Resource(s, identity.SDKAttributes())
	}
	scope := identity.Scope()
	return &pb.ResourceProfiles{
		Resource: &resourcepb.Resource{Attributes: keyValues(r.Attributes())}, SchemaUrl: r.SchemaURL(),
		ScopeProfiles: []*pb.ScopeProfiles{{
			Scope: &commonpb.InstrumentationScope{Name: scope.Name, Version: scope.Version}, SchemaUrl: scope.SchemaURL,
		}},
	}
}

// expansion is how many bytes decoding and conversion allocate for each byte of an uncompressed profile, at most
// (TestMemoryOfConversion).
const expansion = 64

// packed returns data in the format of gzip.
func packed(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data) // a Buffer returns no errors
	_ = z.Close()
	return b.Bytes()
}

const (
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
)

// backoff is the pause after a failed attempt. It doubles each time and is shortened by a random part of up to a
// half, so that processes do not retry in step.
type backoff struct{ last time.Duration }

// sleep waits for the pause, or longer if the server asks for it, at most until ctx is done. When closing is closed, it
// waits at most a second.
func (b *backoff) sleep(ctx context.Context, after time.Duration, closing <-chan struct{}) {
	b.last = min(max(2*b.last, minBackoff), maxBackoff)
	wait := max(after, b.last/2+rand.N(b.last/2+1)) //nolint:gosec // jitter
	if isClosed(closing) {
		wait, closing = min(wait, time.Second), nil
	}
	select {
	case <-time.After(wait):
	case <-closing:
	case <-ctx.Done():
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
