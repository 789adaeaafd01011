// SPDX-License-Identifier: Apache-2.0

// Package fluentd ships snapshots to Fluentd, Fluent Bit or anything else that
// speaks the forward protocol:
//
//	a, err := agent.Start(agent.WithFluentd(fluentd.Config{URL: "tcp://127.0.0.1:24224"}))
//
// or, for an engine of one's own parts,
//
//	exp, err := fluentd.New(fluentd.Config{URL: "tcp://127.0.0.1:24224", Service: "checkout"})
//	e, err := engine.New(engine.WithExporter("fluentd", exp))
//
// Each snapshot becomes one wide record ([exporters.Record]) under the tag
// gmpulse.checkout.runtime, and each of its events a record
// ([exporters.EventRecord]) under gmpulse.checkout.event. Events go first: they
// must arrive even if the wide record does not. The time of a record is that of
// the snapshot or the event, to the nanosecond.
//
// # Delivery
//
// A record counts as sent when the server has acknowledged it, never before.
// That is at-least-once: a record whose acknowledgement got lost, or that Export
// gave up waiting for, may have arrived nevertheless, and arrives again when it
// is handed over again. Receivers drop duplicates by the id of a record, which is
// the same in all copies: Elasticsearch by taking it for _id. An acknowledgement is
// worth what the server's buffer is worth: give Fluentd a file buffer and Fluent Bit
// "storage.type filesystem" with "storage.checksum off"; a memory buffer loses
// what it acknowledged when the server is killed.
//
// Put a spool ([github.com/gmpulse/gmpulse/exporters/spool]) around the exporter
// to keep wide records too while the server is away.
//
// # What the client library cannot do
//
// The wire is github.com/fluent/fluent-logger-golang. It knows no shared key, no
// users and passwords: a server that asks for them is [ErrSharedKey] and gets
// nothing. Its TLS has no setting for a CA, a client certificate or a server
// name: the server's certificate must be good for the host of the URL under a
// root of the system or of the environment variable SSL_CERT_FILE (which holds
// for the whole process), or [Config.InsecureSkipVerify] must be set. It writes
// a line to os.Stderr when an acknowledgement fails to come (the exporter adds the
// newline that the library leaves out), and registers msgpack extension 0 when the program starts, which panics beside a second
// library that does.
//
// # Cost
//
// An Export of a live snapshot, 157 keys in 6 KB, to a server on the same machine
// takes 39 µs of CPU, 15 KB and 41 allocations, of which fluent-logger-golang, given
// bytes that are encoded already, has 13 µs, 12 KB and 17
// (go -C benchmarks run ./compare -only fluentd). With every metric there is and 32
// spans it is 19 KB and 103 allocations (BenchmarkExport). One goroutine, one
// connection; 200 ms once for each new connection.
package fluentd

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Errors that a caller may want to tell from an unreachable server, because
// trying again does not help.
var (
	// ErrSharedKey means that the server asks for a shared key, which the client
	// library cannot give. Nothing was sent.
	ErrSharedKey = errors.New("server requires shared_key: not supported by fluent-logger-golang")
	// ErrTooLarge means that a record is above 1 MiB encoded and was not sent.
	// The other records of the same snapshot were.
	ErrTooLarge = errors.New("record is above 1 MiB encoded")
)

// Exporter sends snapshots to one server. Only [New] makes one. All methods may
// be called by several goroutines at once, but one snapshot is sent at a time.
type Exporter struct {
	target     target
	runtimeTag string
	eventTag   string

	jobs  chan func(*client) // to the worker, which alone touches the client
	stop  chan struct{}      // closed by the first Shutdown
	done  chan struct{}      // closed by the worker as it ends
	stage atomic.Int32       // what the worker is busy with, for error messages
	stats counters

	// scratch is memory for the next wide record, nil while one is under way.
	scratch atomic.Pointer[encoder]

	mu       sync.Mutex
	started  bool
	shutdown bool
}

// Stats are cumulative counts since [New].
type Stats struct {
	// Acked counts the records that the server acknowledged while Export waited.
	Acked uint64
	// Omitted counts the values left out because no server can be trusted with
	// them: NaN, infinities, nil, and second values of one key.
	Omitted uint64
	// Altered counts the values that were changed: invalid UTF-8 replaced, text
	// cut at 32 KiB, unknown types turned into text, nesting cut off.
	Altered uint64
}

type counters struct {
	acked, omitted, altered atomic.Uint64
}

var _ exporters.Exporter = (*Exporter)(nil)

// New makes an exporter. It neither dials nor blocks nor starts a goroutine:
// the first Export does. An error is always one of configuration and names
// each field that is wrong.
func New(cfg Config) (*Exporter, error) {
	t, err := cfg.resolve()
	if err != nil {
		return nil, fmt.Errorf("fluentd: %w", err)
	}
	tag := t.tag + "." + t.service
	return &Exporter{
		target:     t,
		runtimeTag: tag + ".runtime",
		eventTag:   tag + ".event",
		jobs:       make(chan func(*client)),
		stop:       make(chan struct{}),
		done:       make(chan struct{}),
	}, nil
}

// Export sends the events of s, one record each, then s itself, each when the
// one before is acknowledged. It returns after the last, at the first failure,
// or when ctx is done, whichever comes first; what comes after a failure is not
// sent. A record that ctx cut off while under way may still arrive. Until it
// has, or the timeouts of [Config] have run out, the next Export waits for it, as
// long as its own ctx lets it.
//
// The error names the address and the cause. Connections are made when needed:
// a server that comes back is found by the next Export. A new connection is
// listened to for 200 ms before anything is sent, see [ErrSharedKey].
func (e *Exporter) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	if err := e.start(); err != nil { //nolint:contextcheck // the worker outlives this call
		return err
	}
	var refused []error
	for i := range s.Events {
		ev := &s.Events[i]
		at := ev.Time
		if at.IsZero() {
			at = s.Time
		}
		_, err := e.deliver(ctx, e.eventTag, at, func() encoded { return encode(exporters.EventRecord(s, ev), 1<<10) })
		if errors.Is(err, ErrTooLarge) {
			refused = append(refused, fmt.Errorf("event %s of snapshot %d: %w", ev.Name, s.Seq, err))
			continue
		}
		if err != nil {
			return e.wrap(fmt.Errorf("event %d of %d: %w", i+1, len(s.Events), err))
		}
	}
	scratch := e.scratch.Swap(nil)
	if scratch == nil { // another Export has it, or a record that was given up
		scratch = new(encoder)
	}
	done, err := e.deliver(ctx, e.runtimeTag, s.Time, func() encoded { return encodeSnapshot(scratch, s) })
	if done && cap(scratch.b) <= maxScratch {
		e.scratch.Store(scratch)
	}
	rejected := &exporters.RejectedError{Events: len(refused)}
	switch {
	case errors.Is(err, ErrTooLarge):
		rejected.Snapshot = true
		refused = append(refused, fmt.Errorf("snapshot %d: %w", s.Seq, err))
	case err != nil:
		return e.wrap(err) // with it the events are handed over again
	}
	if refused == nil {
		return nil
	}
	rejected.Err = e.wrap(errors.Join(refused...))
	return rejected
}

// Shutdown stops the worker and closes the connection. It does not cut off a
// record under way, since the client library offers no way to: it waits for it until
// ctx is done and returns the error of ctx if that comes first. The worker then
// ends by itself after Timeout + WriteTimeout + AckTimeout at the latest. May
// be called again, to wait on.
func (e *Exporter) Shutdown(ctx context.Context) error {
	e.mu.Lock()
	if !e.shutdown {
		e.shutdown = true
		close(e.stop)
	}
	started := e.started
	e.mu.Unlock()
	if !started {
		return nil
	}
	select {
	case <-e.done:
		return nil
	default: // so that a worker that is gone wins over a ctx that is done
	}
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return e.wrap(fmt.Errorf("shut down while %s: %w", stage(e.stage.Load()), cause(ctx)))
	}
}

// Stats returns what the exporter has counted. It costs three atomic loads.
func (e *Exporter) Stats() Stats {
	return Stats{
		Acked:   e.stats.acked.Load(),
		Omitted: e.stats.omitted.Load(),
		Altered: e.stats.altered.Load(),
	}
}

func (e *Exporter) start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shutdown {
		return exporters.ErrShutdown
	}
	if !e.started {
		e.started = true
		go e.work() // Shutdown waits for e.done
	}
	return nil
}

// work runs the jobs, one after the other, until Shutdown. It alone touches the
// client: the library mixes up acknowledgements when two goroutines post.
func (e *Exporter) work() {
	defer close(e.done)
	defer e.stage.Store(int32(stageIdle))
	labels := pprof.Labels("gmpulse", "fluentd")
	pprof.Do(context.Background(), labels, func(context.Context) {
		c := &client{target: &e.target, stage: &e.stage}
		defer c.close()
		for {
			select {
			case job := <-e.jobs:
				job(c)
			case <-e.stop:
				return
			}
		}
	})
}

// deliver encodes one record and has the worker send it. done is false where that
// may still go on: the memory of the record is not to be used then.
func (e *Exporter) deliver(ctx context.Context, tag string, at time.Time, encode func() encoded) (done bool, err error) {
	if ctx.Err() != nil {
		return true, fmt.Errorf("not sent: %w", cause(ctx))
	}
	r := encode()
	e.stats.omitted.Add(r.omitted)
	e.stats.altered.Add(r.altered)
	if r.tooLarge {
		return true, ErrTooLarge
	}
	result := make(chan error, 1) // room, so that the worker never waits for us
	job := func(c *client) { result <- c.send(ctx, message{tag: tag, at: wireTime(at), body: r.body}) }
	select {
	case e.jobs <- job:
	case <-e.stop:
		return true, exporters.ErrShutdown
	case <-ctx.Done():
		return true, fmt.Errorf("previous record still in flight (%s): %w", stage(e.stage.Load()), cause(ctx))
	}
	select {
	case err = <-result:
	case <-ctx.Done():
		select {
		case err = <-result: // both at once: what is acknowledged must not be sent again
		default:
			return false, fmt.Errorf("gave up while %s, the record may still arrive: %w", stage(e.stage.Load()), cause(ctx))
		}
	}
	if err != nil {
		return true, err
	}
	e.stats.acked.Add(1)
	return true, nil
}

func (e *Exporter) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("fluentd: %s: %w", e.target.address, err)
}

// cause returns why ctx is done, so that both the plain error and the named
// cause are found by errors.Is.
func cause(ctx context.Context) error {
	err, named := ctx.Err(), context.Cause(ctx)
	if errors.Is(named, err) {
		return named
	}
	return fmt.Errorf("%w: %w", err, named)
}
