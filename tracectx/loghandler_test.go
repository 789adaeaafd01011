// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"testing/slogtest"

	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

func TestLogHandlerPassesSlogtest(t *testing.T) {
	var b bytes.Buffer
	h := tracectx.NewHistory(0)
	tick(h, 42)
	slogtest.Run(t, func(*testing.T) slog.Handler {
		b.Reset()
		return tracectx.NewLogHandler(slog.NewJSONHandler(&b, nil), h)
	}, func(t *testing.T) map[string]any {
		t.Helper()
		var m map[string]any
		if err := json.Unmarshal(b.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if m["gmpulse.goroutine.count"] != 42. {
			t.Errorf("%v", m)
		}
		return m
	})
}

func TestLogHandlerAddsIDsAtTheTopLevel(t *testing.T) {
	ctx := trace.ContextWithSpanContext(t.Context(), spanContext(1, 2))
	for name, test := range map[string]struct {
		log  func(*slog.Logger)
		want string
	}{
		"plain":     {func(l *slog.Logger) { l.InfoContext(ctx, "m", slog.String("k", "v")) }, `{"msg":"m","k":"v","trace_id":"00000000000000000000000000000001","span_id":"0000000000000002"}`},
		"attribute": {func(l *slog.Logger) { l.With(slog.Int("a", 1)).InfoContext(ctx, "m") }, `{"msg":"m","a":1,"trace_id":"00000000000000000000000000000001","span_id":"0000000000000002"}`},
		"groups": {
			func(l *slog.Logger) {
				l.With(slog.Int("a", 1)).WithGroup("g").With(slog.Int("b", 2)).WithGroup("h").InfoContext(ctx, "m", slog.Int("c", 3))
			},
			`{"msg":"m","a":1,"trace_id":"00000000000000000000000000000001","span_id":"0000000000000002","g":{"b":2,"h":{"c":3}}}`,
		},
		"no span": {func(l *slog.Logger) { l.WithGroup("g").InfoContext(context.Background(), "m", slog.Int("c", 3)) }, `{"msg":"m","g":{"c":3}}`},
	} {
		var b bytes.Buffer
		l := slog.New(tracectx.NewLogHandler(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: messageOnly}), nil))
		test.log(l)
		if got := string(bytes.TrimSpace(b.Bytes())); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, test.want)
		}
	}
}

// prefixing changes the attributes that it gets in place, as a handler may.
type prefixing struct{ slog.Handler }

func (p prefixing) WithAttrs(attrs []slog.Attr) slog.Handler {
	for i := range attrs {
		attrs[i].Key = "app." + attrs[i].Key
	}
	return prefixing{p.Handler.WithAttrs(attrs)}
}

func (p prefixing) WithGroup(name string) slog.Handler { return prefixing{p.Handler.WithGroup(name)} }

// The handler below a group gets its attributes again for each record.
func TestLogHandlerDoesNotReuseAttributes(t *testing.T) {
	var b bytes.Buffer
	options := &slog.HandlerOptions{ReplaceAttr: messageOnly}
	l := slog.New(tracectx.NewLogHandler(prefixing{slog.NewJSONHandler(&b, options)}, nil)).WithGroup("g").With(slog.Int("k", 1))
	ctx := trace.ContextWithSpanContext(t.Context(), spanContext(1, 2))
	const want = `{"msg":"m","app.trace_id":"00000000000000000000000000000001","app.span_id":"0000000000000002","g":{"app.k":1}}`
	for range 2 {
		b.Reset()
		l.InfoContext(ctx, "m")
		if got := string(bytes.TrimSpace(b.Bytes())); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// messageOnly omits time and level.
func messageOnly(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return a
}

func ExampleNewLogHandler() {
	h := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: messageOnly})
	logger := slog.New(tracectx.NewLogHandler(h, nil))
	ctx := trace.ContextWithSpanContext(context.Background(), spanContext(1, 2))
	logger.InfoContext(ctx, "paid", slog.Int("amount", 3))
	fmt.Println("...")
	// Output:
	// msg=paid amount=3 trace_id=00000000000000000000000000000001 span_id=0000000000000002
	// ...
}
