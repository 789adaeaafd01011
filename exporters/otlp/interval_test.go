// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// The interval follows OTEL_METRIC_EXPORT_INTERVAL. The engine accepts every result.
func TestInterval(t *testing.T) {
	old := otel.GetErrorHandler()
	defer otel.SetErrorHandler(old)
	var handled []string
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { handled = append(handled, err.Error()) }))
	nothing := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return nil })
	for value, tt := range map[string]struct {
		want    time.Duration
		ignored bool
	}{
		"":                    {want: time.Minute},
		"5000":                {want: 5 * time.Second},
		" 10 ":                {want: 10 * time.Millisecond},
		"3600000":             {want: time.Hour},
		"60s":                 {want: time.Minute, ignored: true},
		"1m":                  {want: time.Minute, ignored: true},
		"0":                   {want: time.Minute, ignored: true},
		"9":                   {want: time.Minute, ignored: true},
		"-5000":               {want: time.Minute, ignored: true},
		"3600001":             {want: time.Minute, ignored: true},
		"1.5":                 {want: time.Minute, ignored: true},
		"9223372036854775807": {want: time.Minute, ignored: true},
		"18446744073709552":   {want: time.Minute, ignored: true}, // the nanoseconds overflow
	} {
		t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", value)
		handled = nil
		got := otlp.Interval()
		if got != tt.want || (len(handled) > 0) != tt.ignored {
			t.Errorf("%q: %v, %q", value, got, handled)
		}
		if tt.ignored && (!strings.Contains(handled[0], value) || !strings.Contains(handled[0], "from 10 to 3600000")) {
			t.Errorf("%q: %q", value, handled)
		}
		if _, err := engine.New(engine.WithExporter("otlp", nothing, engine.Every(got))); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	}
}
