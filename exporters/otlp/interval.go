// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
)

// The variable of [Interval], its default and its limits, which the intervals of the engine have too.
const (
	intervalVariable = "OTEL_METRIC_EXPORT_INTERVAL"
	defaultInterval  = time.Minute
	minInterval      = 10 * time.Millisecond
	maxInterval      = time.Hour
)

// Interval returns the time between two exports that the environment variable
// OTEL_METRIC_EXPORT_INTERVAL sets in milliseconds, as the SDK's periodic reader does:
//
//	a, err := agent.Start(agent.WithExporter("otlp", e, engine.Every(otlp.Interval())))
//
// The default is a minute. A value that is not a number of milliseconds from 10 to 3600000 is ignored, and
// reported to the handler of [otel.SetErrorHandler], which logs it by default.
func Interval() time.Duration {
	text := strings.TrimSpace(os.Getenv(intervalVariable))
	if text == "" {
		return defaultInterval
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if d := time.Duration(ms) * time.Millisecond; err == nil && ms <= int64(maxInterval/time.Millisecond) && d >= minInterval {
		return d
	}
	otel.Handle(fmt.Errorf("otlp: %s=%q is ignored and %v is used: want a number of milliseconds from %d to %d",
		intervalVariable, text, defaultInterval, minInterval.Milliseconds(), maxInterval.Milliseconds()))
	return defaultInterval
}
