// SPDX-License-Identifier: Apache-2.0

package goroutines_test

import (
	"errors"
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// No survey is taken that may not fit below the memory limit.
func TestSurveyWithoutHeadroom(t *testing.T) {
	s := goroutines.NewSurveyor(goroutines.Config{})
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 20)) // less than the test uses
	if _, err := s.Take(t.Context()); !errors.Is(err, goroutines.ErrTooMany) || !strings.Contains(err.Error(), "GOMEMLIMIT") {
		t.Errorf("beyond the limit: %v", err)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	if _, err := s.Take(t.Context()); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}
