package exectrace

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
)

const (
	defaultMaxGoroutines = 20_000
	defaultMaxBytes      = 8 << 20
	defaultMaxEvents     = 1_500_000
)

// Config says what a [Recorder] may cost. The zero value is ready to use.
type Config struct {
	// NoRollCall refuses every [Recorder.RollCall].
	NoRollCall bool

	// MaxGoroutines is the number of goroutines above which nothing is recorded:
	// a recording lists each of them at least once a second. Zero means 20,000.
	MaxGoroutines int

	// MaxBytes is the size in bytes above which a recording is not read: reading
	// takes three to eight times as much memory. Zero means 8 MiB.
	MaxBytes int

	// MaxEvents is how many events of a recording are read at most. Reading
	// takes about 0.15 µs for each. Zero means 1,500,000.
	MaxEvents int

	// Logger gets one line when recordings cannot be made or read any more, and
	// one when they can again. Default slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	err := errors.Join(
		checkCount("MaxGoroutines", c.MaxGoroutines),
		checkCount("MaxBytes", c.MaxBytes),
		checkCount("MaxEvents", c.MaxEvents),
	)
	c.MaxGoroutines = cmp.Or(c.MaxGoroutines, defaultMaxGoroutines)
	c.MaxBytes = cmp.Or(c.MaxBytes, defaultMaxBytes)
	c.MaxEvents = cmp.Or(c.MaxEvents, defaultMaxEvents)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c, err
}

func checkCount(field string, n int) error {
	if n < 0 {
		return fmt.Errorf("exectrace: Config.%s is %d: set it above zero, or to 0 for the default", field, n)
	}
	return nil
}
