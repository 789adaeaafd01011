// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	defaultMaxGoroutines = 20_000
	defaultMaxBytes      = 8 << 20
	defaultMaxEvents     = 1_500_000
	defaultMaxRate       = 4 << 20
	defaultMaxShare      = 0.01
	defaultEvery         = time.Minute
	defaultFor           = 2 * time.Second
	defaultSlowEvery     = 30 * time.Second
)

// Mode tells when [Recorder.Run] records.
type Mode uint8

// The modes.
const (
	Off       Mode = iota // never
	DutyCycle             // for [Config.For] in each period [Config.Every]
	Always                // all the time, so that any slow span is recorded
)

// Config bounds the cost of a [Recorder]. The zero value selects the defaults.
type Config struct {
	// MaxGoroutines is the number of goroutines above which the Recorder does not
	// record, because a recording lists each of them once a second. 0 means 20,000.
	MaxGoroutines int

	// MaxBytes is the size in bytes above which a recording is discarded. Reading
	// takes three to eight times as much memory. 0 means 8 MiB.
	MaxBytes int

	// MaxEvents is the number of events above which a recording is discarded.
	// Reading takes about 0.15 µs per event. 0 means 1,500,000.
	MaxEvents int

	// Mode tells when Run records. The zero value is [Off].
	Mode Mode

	// Every is the period in which Run reads what it recorded, see
	// [Recorder.Window]. 0 means one minute.
	Every time.Duration

	// For is the length of the recordings of [DutyCycle]. 0 means two seconds. It
	// must not exceed half of Every.
	For time.Duration

	// MaxRate is the limit of recorded bytes per second. 0 means 4 MiB.
	MaxRate int

	// MaxShare is the limit of the estimated share of one core that Run takes on
	// average for recording and reading, from 0 to 1. 0 means 0.01. If a period has
	// cost more, Run stops recording until the average is MaxShare again, but not for
	// more than an hour. If MaxRate, MaxGoroutines, MaxBytes or MaxEvents is exceeded,
	// it stops for at least Every.
	MaxShare float64

	// SlowerThan is the duration above which a local root span is slow, for
	// [Recorder.WrapExporter]. 0 means the 99th percentile of recent spans of the
	// same name.
	SlowerThan time.Duration

	// SlowEvery is the minimum time between two slow spans that are analyzed. 0
	// means 30 seconds.
	SlowEvery time.Duration

	// Logger gets a line when recording begins to fail and when it works again. nil
	// means slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	err := errors.Join(
		checkPositive("MaxGoroutines", c.MaxGoroutines),
		checkPositive("MaxBytes", c.MaxBytes),
		checkPositive("MaxEvents", c.MaxEvents),
		checkPositive("MaxRate", c.MaxRate),
		checkPositive("MaxShare", c.MaxShare),
		checkPositive("Every", c.Every),
		checkPositive("For", c.For),
		checkPositive("SlowerThan", c.SlowerThan),
		checkPositive("SlowEvery", c.SlowEvery),
	)
	c.MaxGoroutines = cmp.Or(c.MaxGoroutines, defaultMaxGoroutines)
	c.MaxBytes = cmp.Or(c.MaxBytes, defaultMaxBytes)
	c.MaxEvents = cmp.Or(c.MaxEvents, defaultMaxEvents)
	c.MaxRate = cmp.Or(c.MaxRate, defaultMaxRate)
	c.MaxShare = cmp.Or(c.MaxShare, defaultMaxShare)
	c.Every = cmp.Or(c.Every, defaultEvery)
	c.For = cmp.Or(c.For, defaultFor)
	c.SlowEvery = cmp.Or(c.SlowEvery, defaultSlowEvery)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Mode > Always {
		err = errors.Join(err, fmt.Errorf("exectrace: Config.Mode is %d, want Off, DutyCycle or Always", c.Mode))
	}
	if c.Mode == DutyCycle && c.For > c.Every/2 {
		err = errors.Join(err, fmt.Errorf("exectrace: Config.For is %v, want at most half of Every, which is %v", c.For, c.Every))
	}
	return c, err
}

func checkPositive[T int | float64 | time.Duration](field string, v T) error {
	if v < 0 {
		return fmt.Errorf("exectrace: Config.%s is %v, want a positive value or 0 for the default", field, v)
	}
	return nil
}
