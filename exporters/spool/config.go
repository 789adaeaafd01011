// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gmpulse/gmpulse/internal/guard"
)

// Config configures a spool. The zero value is a queue in memory with the defaults.
type Config struct {
	// Name identifies the exporter in file names and log lines: up to 64 lower-case
	// letters, digits, - and _. Default "exporter".
	Name string
	// Dir is the directory of the store. The first Export creates it with mode 0700.
	// A relative path is resolved by [New]. Default none: records are kept in memory
	// and lost when the process ends.
	Dir string
	// MaxBytes limits the records on disk, in bytes. The file is about a quarter larger,
	// never shrinks while it is in use, and is removed once every record is delivered.
	// Default 64 MiB: about 14 hours of one 13 KB snapshot every ten seconds. Minimum 64 KiB.
	MaxBytes int64
	// MaxMemory limits the records in memory, in bytes: all records without Dir,
	// otherwise those that are not on disk yet. Default 4 MiB: about 50 minutes of
	// one 13 KB snapshot every ten seconds. Minimum 64 KiB.
	MaxMemory int64
	// MaxAge is how long a record is kept before it is dropped. Default 72 h.
	MaxAge time.Duration
	// Timeout limits each call of the wrapped exporter's Export. Default 15 s.
	Timeout time.Duration
	// Logger receives a line when the exporter starts or stops failing, when the disk
	// does, and when a damaged store is set aside. Default slog.Default().
	Logger *slog.Logger
}

const (
	defaultMaxBytes   = 64 << 20
	defaultMaxMemory  = 4 << 20
	minBytes          = 64 << 10
	defaultMaxAge     = 72 * time.Hour
	defaultTimeout    = 15 * time.Second
	maxDeadLetterFile = 4 << 20 // bytes; there are two files
)

// complete returns c with its defaults. The error joins every problem.
func (c Config) complete() (Config, error) {
	c.Name = cmp.Or(c.Name, "exporter")
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Logger = guard.Logger(c.Logger).With(slog.String("exporter", c.Name))
	var errs []error
	if !regexp.MustCompile(`^[a-z0-9_-]{1,64}$`).MatchString(c.Name) {
		errs = append(errs, fmt.Errorf("spool: Name %q: want up to 64 lower-case letters, digits, - and _", c.Name))
	}
	errs = append(errs,
		setDefault("MaxBytes", &c.MaxBytes, defaultMaxBytes, minBytes),
		setDefault("MaxMemory", &c.MaxMemory, defaultMaxMemory, minBytes),
		setDefault("MaxAge", &c.MaxAge, defaultMaxAge, 1),
		setDefault("Timeout", &c.Timeout, defaultTimeout, 1))
	if c.Dir != "" {
		dir, err := filepath.Abs(c.Dir)
		if err != nil {
			errs = append(errs, fmt.Errorf("spool: Dir %q is relative and the working directory is unknown, set an absolute path: %w", c.Dir, err))
		}
		c.Dir = dir
	}
	return c, errors.Join(errs...)
}

// setDefault replaces 0 and checks the minimum.
func setDefault[T int64 | time.Duration](field string, v *T, fallback, least T) error {
	*v = cmp.Or(*v, fallback)
	if *v < least {
		return fmt.Errorf("spool: %s %v: want at least %v, or 0 for the default of %v", field, *v, least, fallback)
	}
	return nil
}
