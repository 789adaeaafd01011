// SPDX-License-Identifier: Apache-2.0

package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"testing"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

var update = flag.Bool("update", false, "write testdata/codec1.*, which must not change: a new version gets new files")

// TestCodecReadsVersion1 decodes a record of version 1. Every later version must read it, because
// spools remain on disk when gmpulse is updated.
func TestCodecReadsVersion1(t *testing.T) {
	const recordFile, schemaFile, textFile = "testdata/codec1.record", "testdata/codec1.schema", "testdata/codec1.json"
	if *update {
		want := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()})
		var enc codec.Encoder
		b, err := enc.Append(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		_, schema := enc.Schema()
		if err := errors.Join(os.WriteFile(recordFile, b, 0o600), os.WriteFile(schemaFile, schema, 0o600), os.WriteFile(textFile, text(t, want), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	b, err1 := os.ReadFile(recordFile)
	schema, err2 := os.ReadFile(schemaFile)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	var dec codec.Decoder
	if _, err := dec.Learn(schema); err != nil {
		t.Fatal(err)
	}
	got, err := dec.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(textFile)
	if err != nil {
		t.Fatal(err)
	}
	if g := text(t, got); !bytes.Equal(g, want) {
		t.Errorf("the record is\n%s\nwant\n%s", g, want)
	}
	if got.Seq != 3600 || len(got.Events) != 1 || len(got.Spans) != 2 {
		t.Errorf("seq %d, %d events, %d spans", got.Seq, len(got.Events), len(got.Spans))
	}
}

// text returns all records of a snapshot as JSON.
func text(t *testing.T, s *runtimeinfo.Snapshot) []byte {
	t.Helper()
	records := []map[string]any{record(s)}
	for i := range s.Events {
		records = append(records, maps.Collect(exporters.EventRecord(s, &s.Events[i])))
	}
	b, err := json.MarshalIndent(records, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// Records of later versions are malformed.
func TestCodecRejectsLaterVersions(t *testing.T) {
	b, err1 := os.ReadFile("testdata/codec1.record")
	schema, err2 := os.ReadFile("testdata/codec1.schema")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	var dec codec.Decoder
	if _, err := dec.Learn(schema); err != nil {
		t.Fatal(err)
	}
	b[0], schema[0] = 255, 255
	if _, err := dec.Decode(b); !errors.Is(err, codec.ErrMalformed) {
		t.Errorf("a record of version 255: %v", err)
	}
	if _, err := codec.SchemaOf(b); !errors.Is(err, codec.ErrMalformed) {
		t.Errorf("the schema of a record of version 255: %v", err)
	}
	if _, err := dec.Learn(schema); !errors.Is(err, codec.ErrMalformed) {
		t.Errorf("a schema of version 255: %v", err)
	}
}
