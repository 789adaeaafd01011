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

// There is no survey that may exceed the memory limit.
func TestSurveyKeepsBelowMemoryLimit(t *testing.T) {
	s := goroutines.NewSurveyor(goroutines.SurveyConfig{})
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 20)) // less than the test uses
	if _, err := s.Take(t.Context()); !errors.Is(err, goroutines.ErrTooMany) || !strings.Contains(err.Error(), "GOMEMLIMIT") {
		t.Errorf("above the limit: %v", err)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	if _, err := s.Take(t.Context()); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}
