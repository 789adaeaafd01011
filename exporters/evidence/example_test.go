// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters/evidence"
)

// A Store is an exporter and an analyzer of an engine.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "evidence")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := evidence.New(evidence.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	e, err := engine.New(engine.WithExporter("evidence", s, engine.EveryTick()), engine.WithAnalyzer("evidence", s))
	if err != nil {
		log.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Stop(context.Background()))
	// Output: <nil>
}

// Capture creates a bundle on request. Its manifest.json describes it.
func ExampleStore_Capture() {
	s, err := evidence.New(evidence.Config{ProfileFor: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	id, err := s.Capture(context.Background(), "requests are slow")
	if err != nil {
		log.Fatal(err)
	}
	text, err := fs.ReadFile(s, id+"/manifest.json")
	if err != nil {
		log.Fatal(err)
	}
	var m struct{ Reason string }
	if err := json.Unmarshal(text, &m); err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Reason)
	fmt.Println(s.Shutdown(context.Background()))
	// Output:
	// requests are slow
	// <nil>
}
