// SPDX-License-Identifier: Apache-2.0

// Package otlp is the exporter for OpenTelemetry: snapshots become metrics and
// events become log records, which go out through exporters of the OpenTelemetry
// SDK, with whatever transport, credentials and retries these have:
//
//	e, err := otlp.New(otlp.Config{Metrics: metrics, Logs: logs}) // an sdkmetric.Exporter, an sdklog.Exporter
//
// Package otlphttp makes both for OTLP over HTTP from the environment, in one call.
//
// No metric is listed here: names, units, kinds and descriptions are those of the
// catalogue, which has the names of the semantic conventions where these have one.
// A counter is a monotonic sum, an up-down counter a sum, a histogram an explicit
// one; whether they are cumulative or deltas is up to the metric exporter's
// Temporality. Counters and histograms carry exemplars.
//
// An Export costs 2 to 4 µs and, once warm, no allocation (BenchmarkExport),
// beside what the SDK's exporter takes to encode and to send: some 0.2 ms over HTTP.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Scope is the name of the instrumentation scope of all that is sent.
const Scope = "github.com/gmpulse/gmpulse"

// Config configures an [Exporter]. At least one of Metrics and Logs must be set.
type Config struct {
	// Metrics takes the values of each snapshot. Its own retries should be off:
	// the next snapshot is seldom far, and until then it would be asked again in
	// vain. What it is given is overwritten by the next Export, as the SDK's
	// contract for exporters has it: one that keeps it makes a copy. The Exporter
	// shuts it down. Nil means that no metrics are sent.
	Metrics sdkmetric.Exporter
	// Logs takes the events. The Exporter shuts it down. Nil means that no
	// events are sent: they count as delivered.
	Logs sdklog.Exporter
	// Process sends the metrics of the process (process.*) too. By default they
	// are left to whoever sends them already: a collector beside the program, or
	// its instrumentation.
	Process bool
}

// Exporter sends snapshots as OTLP. Make one with [New]. It keeps the contract
// of [exporters.Exporter]; Export belongs to one goroutine.
//
// An Export makes one call of each SDK exporter, the second only if there are
// events. Should it fail after the metrics went out, the events are handed over
// again and the metrics count as failed. What a server refused for good out of an
// otherwise accepted batch of metrics (a partial success) is an
// [exporters.RejectedError], and is not sent again. Of log records the SDK does not tell.
type Exporter struct {
	config Config
	logs   *events
	batch  *batch // reused by each Export

	resource   *resource.Resource
	attributes []runtimeinfo.Attr // that resource was made of

	mu   sync.Mutex
	down bool
}

var _ exporters.Exporter = (*Exporter)(nil)

// New returns an Exporter. It dials nobody.
func New(c Config) (*Exporter, error) {
	if c.Metrics == nil && c.Logs == nil {
		return nil, errors.New("otlp: Config.Metrics and Config.Logs are both nil; set one, or use package otlphttp")
	}
	return &Exporter{config: c, logs: &events{}, batch: newBatch(c.Metrics, c.Process)}, nil
}

// Export sends s. It returns when the SDK's exporters do, which obey ctx.
func (e *Exporter) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	if e.isDown() {
		return exporters.ErrShutdown
	}
	e.describe(s.Resource)
	err := e.exportMetrics(ctx, s)
	rejected, is := errors.AsType[*exporters.RejectedError](err)
	if err != nil && !is {
		return fmt.Errorf("otlp: metrics: %w", err)
	}
	if e.config.Logs != nil && len(s.Events) > 0 {
		if err := e.config.Logs.Export(ctx, e.logs.records(ctx, e.resource, s)); err != nil {
			return fmt.Errorf("otlp: logs: %w", err)
		}
	}
	if rejected != nil {
		return rejected
	}
	return nil
}

// exportMetrics sends the values.
func (e *Exporter) exportMetrics(ctx context.Context, s *runtimeinfo.Snapshot) error {
	if e.config.Metrics == nil || e.batch.baseline.holds(s) {
		return ctx.Err()
	}
	e.batch.fill(s)
	e.batch.data.Resource = e.resource
	err := e.config.Metrics.Export(ctx, &e.batch.data)
	if err != nil {
		n, partial := partialSuccess(err)
		if !partial {
			return err
		}
		err = &exporters.RejectedError{Snapshot: n >= e.batch.points, Err: err}
	}
	e.batch.baseline.settle(s)
	return err
}

// describe makes the resource anew where it is another one.
func (e *Exporter) describe(attrs []runtimeinfo.Attr) {
	if e.resource != nil && slices.Equal(attrs, e.attributes) {
		return
	}
	kvs := make([]attribute.KeyValue, len(attrs))
	for i, a := range attrs {
		kvs[i] = attribute.String(valid(a.Key), valid(a.Value))
	}
	e.resource, e.attributes = resource.NewSchemaless(kvs...), slices.Clone(attrs)
}

// Shutdown shuts both of the SDK's exporters down.
func (e *Exporter) Shutdown(ctx context.Context) error {
	e.mu.Lock()
	was := e.down
	e.down = true
	e.mu.Unlock()
	if was {
		return nil
	}
	var errs []error
	if e.config.Metrics != nil {
		errs = append(errs, e.config.Metrics.Shutdown(ctx))
	}
	if e.config.Logs != nil {
		errs = append(errs, e.config.Logs.Shutdown(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("otlp: shutdown: %w", err)
	}
	return nil
}

func (e *Exporter) isDown() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.down
}

// partialSuccess reads how much a server rejected out of the text of an error: the
// SDK's type for it is internal.
func partialSuccess(err error) (rejected int, is bool) {
	if !strings.Contains(err.Error(), "OTLP partial success") {
		return 0, false
	}
	if m := regexp.MustCompile(`\((\d+) [^()]*rejected\)`).FindStringSubmatch(err.Error()); m != nil {
		rejected, _ = strconv.Atoi(m[1]) // digits; too many of them are the maximum
	}
	return rejected, true
}

// valid replaces what is not UTF-8, which protobuf refuses.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
