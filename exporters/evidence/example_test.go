// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
)

// A store takes snapshots as any exporter does.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "evidence")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := evidence.New(evidence.Config{Dir: dir, Record: exporters.Record, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	e, err := engine.New(engine.WithExporter("evidence", s))
	if err != nil {
		log.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Stop(context.Background()))
	// Output: <nil>
}
