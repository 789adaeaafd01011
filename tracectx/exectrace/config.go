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

// Mode says when a [Recorder] records of its own accord, while [Recorder.Run] runs.
type Mode uint8

// The modes.
const (
	Off       Mode = iota // never
	DutyCycle             // for a short while each minute
	Always                // all the time: only then is there exact data on any slow span
)

// String returns the mode as the environment has it.
func (m Mode) String() string {
	switch m {
	case Off:
		return "off"
	case DutyCycle:
		return "duty"
	case Always:
		return "always"
	default:
		return "unknown"
	}
}

// Config says what a [Recorder] may cost. The zero value is ready to use.
type Config struct {
	// MaxGoroutines is the number of goroutines above which nothing is recorded:
	// a recording lists each of them at least once a second. Zero means 20,000.
	MaxGoroutines int

	// MaxBytes is the size in bytes above which a recording is not read: reading
	// takes three to eight times as much memory. Zero means 8 MiB.
	MaxBytes int

	// MaxEvents is how many events of a recording are read at most. Reading
	// takes about 0.15 µs for each. Zero means 1,500,000.
	MaxEvents int

	// Mode is when to record. Zero is [Off].
	Mode Mode

	// Every is the time between two looks at a recording, from which [Recorder.Window]
	// comes. Zero means one minute.
	Every time.Duration

	// For is how long [DutyCycle] records. Zero means two seconds.
	For time.Duration

	// MaxRate is how many bytes a second may be recorded, MaxShare the share of
	// one core that recording and reading may use on average, as estimated. Above
	// either, and above MaxGoroutines, the recorder steps back: it stops and tries
	// again after Every, then after twice that, and so on, up to an hour. Zero means 4 MiB
	// and 0.01.
	MaxRate  int
	MaxShare float64

	// SlowerThan is the duration from which a local root span is slow, for
	// [Recorder.WrapExporter]. Zero means that it is slower than 99 of 100 spans
	// of its name were of late.
	SlowerThan time.Duration

	// SlowEvery is the least time between two slow spans that are looked into.
	// Zero means 30 seconds.
	SlowEvery time.Duration

	// Logger gets one line when recordings cannot be made or read any more, and
	// one when they can again. Default slog.Default().
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
		err = errors.Join(err, fmt.Errorf("exectrace: Config.Mode is %d: set it to Off, DutyCycle or Always", c.Mode))
	}
	if c.Mode == DutyCycle && c.For > c.Every/2 {
		err = errors.Join(err, fmt.Errorf("exectrace: Config.For is %v: set it to at most half of Every, which is %v, or Mode to Always", c.For, c.Every))
	}
	return c, err
}

func checkPositive[T int | float64 | time.Duration](field string, v T) error {
	if v < 0 {
		return fmt.Errorf("exectrace: Config.%s is %v: set it above zero, or to 0 for the default", field, v)
	}
	return nil
}
