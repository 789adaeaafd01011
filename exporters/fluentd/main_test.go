// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/internal/peers/forward"
)

func TestMain(m *testing.M) {
	forward.SilenceClient()
	goleak.VerifyTestMain(m)
}
