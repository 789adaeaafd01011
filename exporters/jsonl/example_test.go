// SPDX-License-Identifier: Apache-2.0

package jsonl_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/jsonl"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "gmpulse.jsonl")

	// An agent usually calls Export and Shutdown.
	e, err := jsonl.New(jsonl.Config{Path: path, MaxBytes: 10 << 20, MaxFiles: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_ = e.Export(ctx, exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()}))
	_ = e.Shutdown(ctx)

	data, err := os.ReadFile(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range bytes.Lines(data) {
		var r map[string]any
		_ = json.Unmarshal(line, &r)
		fmt.Println(r["@timestamp"], r["record"], r["seq"], r["event.name"])
	}
	// Output:
	// 2026-01-02T03:04:05.678Z runtime 3600 <nil>
	// 2026-01-02T03:04:05.578Z event 3600 goroutines.growth
}
