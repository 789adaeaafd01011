// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/log/embedded"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// provider returns a LoggerProvider that passes its records to l at once.
func provider(t *testing.T, l sdklog.Exporter) *sdklog.LoggerProvider {
	t.Helper()
	p := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewSimpleProcessor(l)),
		sdklog.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"))))
	t.Cleanup(func() { _ = p.Shutdown(context.WithoutCancel(t.Context())) })
	return p
}

func TestLoggerProviderConformance(t *testing.T) {
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		return newExporter(t, otlp.Config{LoggerProvider: provider(t, &logs{})})
	})
}

// A record that the application's provider receives equals the one that an Exporter sends
// through a log exporter, but has the provider's resource.
func TestEventsThroughTheLoggerProvider(t *testing.T) {
	direct, through := &logs{}, &logs{}
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()})
	for _, c := range []otlp.Config{{Logs: direct}, {LoggerProvider: provider(t, through)}} {
		if err := newExporter(t, c).Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	want, got := direct.got[0], through.got[0]
	if v, _ := got.Resource().Set().Value("service.name"); v.AsString() != "shop" {
		t.Errorf("resource %v", got.Resource())
	}
	if got.EventName() != want.EventName() || got.Severity() != want.Severity() || !reflect.DeepEqual(got.Body(), want.Body()) ||
		got.TraceID() != want.TraceID() || got.SpanID() != want.SpanID() || got.InstrumentationScope() != want.InstrumentationScope() {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
	if a, b := attributes(&got), attributes(&want); !a.Equals(&b) || a.Len() < 5 {
		t.Errorf("%v\nwant\n%v", a.ToSlice(), b.ToSlice())
	}
}

func attributes(r *sdklog.Record) attribute.Set {
	var all []attribute.KeyValue
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		all = append(all, kv)
		return true
	})
	return attribute.NewSet(all...)
}

func TestNewRejectsTwoDestinationsOfEvents(t *testing.T) {
	_, err := otlp.New(otlp.Config{Logs: &logs{}, LoggerProvider: provider(t, &logs{})})
	if err == nil || !strings.Contains(err.Error(), "Config.LoggerProvider") {
		t.Errorf("%v", err)
	}
}

// loggers is a LoggerProvider whose loggers call emit.
type loggers struct {
	embedded.LoggerProvider
	emit func(log.Record)
}

func (l *loggers) Logger(string, ...log.LoggerOption) log.Logger { return logger{emit: l.emit} }

type logger struct {
	embedded.Logger
	emit func(log.Record)
}

func (l logger) Emit(_ context.Context, r log.Record) { l.emit(r) }

func (logger) Enabled(context.Context, log.EnabledParameters) bool { return true }

func events(names ...string) *runtimeinfo.Snapshot {
	var all []runtimeinfo.Event
	for _, n := range names {
		all = append(all, runtimeinfo.Event{Time: start, Name: n})
	}
	return exporttest.Snapshot().WithEvents(all)
}

// While Emit blocks, each Export returns at its deadline. Once Emit has returned, every
// event has been emitted once.
func TestBlockingLoggerProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var got []string
		e := newExporter(t, otlp.Config{LoggerProvider: &loggers{emit: func(r log.Record) {
			<-release
			got = append(got, r.EventName())
		}}})
		for _, s := range []*runtimeinfo.Snapshot{events("a", "b"), events("a", "b", "c")} {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if err := e.Export(ctx, s); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 5*time.Second {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
			cancel()
		}
		close(release)
		if err := e.Export(t.Context(), events("a", "b", "c", "d")); err != nil {
			t.Error(err)
		}
		if strings.Join(got, " ") != "a b c d" {
			t.Errorf("emitted %v", got)
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Shutdown waits for a blocked Emit until its context is done.
func TestShutdownWithBlockedLoggerProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e := newExporter(t, otlp.Config{LoggerProvider: &loggers{emit: func(log.Record) { <-release }}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Export(ctx, events("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := e.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(release)
	})
}

// An event for which the provider panics is rejected; the others are emitted.
func TestPanickingLoggerProvider(t *testing.T) {
	var got []string
	e := newExporter(t, otlp.Config{LoggerProvider: &loggers{emit: func(r log.Record) {
		if r.EventName() == "b" {
			panic("cannot")
		}
		got = append(got, r.EventName())
	}}})
	err := e.Export(t.Context(), events("a", "b", "c"))
	rejected, ok := errors.AsType[*exporters.RejectedError](err)
	if !ok || rejected.Events != 1 || rejected.Snapshot || !strings.Contains(err.Error(), "cannot") || strings.Join(got, " ") != "a c" {
		t.Errorf("%v, emitted %v", err, got)
	}
}
