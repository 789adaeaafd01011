// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"log/slog"
	"testing"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
)

func TestContract(t *testing.T) {
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		s, err := evidence.New(evidence.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
