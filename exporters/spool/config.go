// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gmpulse/gmpulse/internal/guard"
)

// Config says where records wait, and how many. The zero value is a queue in
// memory with the defaults.
type Config struct {
	// Name tells this exporter's store from others in Dir and in log lines:
	// lower-case letters, digits, - and _. Default "exporter".
	Name string
	// Dir is a directory for the store, made when needed, with mode 0700. A relative
	// one is taken from the working directory at [New]. Default none: records wait in
	// memory and end with the process.
	Dir string
	// MaxBytes bounds the records on disk. The file takes a quarter more, never
	// shrinks while it is in use, and is removed when all is delivered. Default 64 MiB: about
	// 1.5 hours at one snapshot a second of 12 KB, see the package. The least is 64 KiB.
	MaxBytes int64
	// MaxMemory bounds the records in memory: all of them without Dir, else those
	// that the disk has not taken yet. Default 4 MiB: about six minutes at one
	// snapshot a second of 12 KB. The least is 64 KiB.
	MaxMemory int64
	// MaxAge is how long a record may wait. Default 72 h.
	MaxAge time.Duration
	// Timeout bounds each Export of the exporter. Default 15 s.
	Timeout time.Duration
	// Logger gets a line when the exporter begins to fail or works again, when the
	// disk does, and when a store is set aside. Default, and nil, is slog.Default().
	Logger *slog.Logger
}

const (
	defaultName             = "exporter"
	defaultMaxBytes   int64 = 64 << 20
	defaultMaxMemory  int64 = 4 << 20
	leastBytes        int64 = 64 << 10
	defaultMaxAge           = 72 * time.Hour
	defaultTimeout          = 15 * time.Second
	maxDeadLetterFile       = 4 << 20 // bytes; there are two
)

// complete fills in the defaults. The error joins everything that is wrong.
func (c Config) complete() (Config, error) {
	var errs []error
	if c.Name == "" {
		c.Name = defaultName
	}
	if !regexp.MustCompile(`^[a-z0-9_-]{1,64}$`).MatchString(c.Name) {
		errs = append(errs, fmt.Errorf("spool: Name %q: want up to 64 lower-case letters, digits, - and _", c.Name))
	}
	for _, f := range []struct {
		field    string
		v        *int64
		fallback int64
	}{{"MaxBytes", &c.MaxBytes, defaultMaxBytes}, {"MaxMemory", &c.MaxMemory, defaultMaxMemory}} {
		if *f.v == 0 {
			*f.v = f.fallback
		}
		if *f.v < leastBytes {
			errs = append(errs, fmt.Errorf("spool: %s %d: want at least %d, or 0 for %d", f.field, *f.v, leastBytes, f.fallback))
		}
	}
	for _, f := range []struct {
		field    string
		v        *time.Duration
		fallback time.Duration
	}{{"MaxAge", &c.MaxAge, defaultMaxAge}, {"Timeout", &c.Timeout, defaultTimeout}} {
		if *f.v == 0 {
			*f.v = f.fallback
		}
		if *f.v < 0 {
			errs = append(errs, fmt.Errorf("spool: %s %v: want a positive duration, or 0 for %v", f.field, *f.v, f.fallback))
		}
	}
	dir, err := absolute(c.Dir)
	c.Dir, errs = dir, append(errs, err)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Logger = guard.Logger(c.Logger).With(slog.String("exporter", c.Name))
	return c, errors.Join(errs...)
}

// absolute makes a directory one that does not depend on where the program goes.
func absolute(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("spool: Dir %q is relative and the working directory is unknown, set an absolute path: %w", dir, err)
	}
	return abs, nil
}
