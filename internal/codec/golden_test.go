// SPDX-License-Identifier: Apache-2.0

package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

var update = flag.Bool("update", false, "write testdata/codec2.*, which must not change once version 2 is released: a later version gets new files")

// golden has the files of one version of the encoding.
type golden struct{ record, schema, text string }

func goldenOf(version int) golden {
	name := fmt.Sprintf("testdata/codec%d.", version)
	return golden{name + "record", name + "schema", name + "json"}
}

func (g golden) read(t *testing.T) (record, schema []byte) {
	t.Helper()
	record, err1 := os.ReadFile(g.record)
	schema, err2 := os.ReadFile(g.schema)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return record, schema
}

// Every version reads the records of all earlier ones, because spools remain on disk when gmpulse is
// updated.
func TestCodecReadsAllVersions(t *testing.T) {
	if *update {
		want := exporttest.Summary().WithEvents([]runtimeinfo.Event{exporttest.Event()})
		var enc codec.Encoder
		b, err := enc.Append(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		_, schema := enc.Schema()
		g := goldenOf(2)
		if err := errors.Join(os.WriteFile(g.record, b, 0o600), os.WriteFile(g.schema, schema, 0o600), os.WriteFile(g.text, text(t, want), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for version := 1; version <= 2; version++ {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			g := goldenOf(version)
			record, schema := g.read(t)
			if int(record[0]) != version || int(schema[0]) != version {
				t.Fatalf("the files are of versions %d and %d", record[0], schema[0])
			}
			var dec codec.Decoder
			if _, err := dec.Learn(schema); err != nil {
				t.Fatal(err)
			}
			got, err := dec.Decode(record)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(g.text)
			if err != nil {
				t.Fatal(err)
			}
			if g := text(t, got); !bytes.Equal(g, want) {
				t.Errorf("the record is\n%s\nwant\n%s", g, want)
			}
		})
	}
}

// text returns the content of a snapshot as JSON. It does not use the records of exporters, which may
// change while the files may not.
func text(t *testing.T, s *runtimeinfo.Snapshot) []byte {
	t.Helper()
	type value struct {
		Key       string
		Labels    []string `json:",omitempty"`
		Number    float64
		Range     *runtimeinfo.Range     `json:",omitempty"`
		Histogram *runtimeinfo.Histogram `json:",omitempty"`
	}
	type event struct {
		Time                                  time.Time
		Name, Severity, Message, Attrs, Spans string
	}
	content := struct {
		Seq               uint64
		Ticks             int `json:",omitempty"`
		Time, Start       time.Time
		Since             time.Time `json:",omitzero"`
		Resource, Metrics []string
		Spans             string
		Values            []value
		Events            []event
	}{Seq: s.Seq, Ticks: s.Ticks, Time: s.Time, Start: s.Start, Since: s.Since, Spans: fmt.Sprintf("%+v", s.Spans)}
	for _, a := range s.Resource {
		content.Resource = append(content.Resource, a.Key+"="+a.Value)
	}
	for _, m := range s.Metrics() {
		line := fmt.Sprintf("%s (%s, %s, %s, keys %q): %s", m.Key(), m.Kind, m.Unit, m.Subsystem, m.Keys, m.Help)
		if m.Ranged {
			line += " Ranged."
		}
		content.Metrics = append(content.Metrics, line)
	}
	for p := range s.Points() {
		content.Values = append(content.Values, value{p.Metric.Key(), p.Labels, p.Number, p.Range, p.Histogram})
	}
	for i := range s.Events {
		e := &s.Events[i]
		content.Events = append(content.Events, event{e.Time, e.Name, e.Severity.String(), e.Message, fmt.Sprint(e.Attrs), fmt.Sprintf("%+v", e.Spans)})
	}
	b, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// Records of later versions are malformed.
func TestCodecRejectsLaterVersions(t *testing.T) {
	b, schema := goldenOf(1).read(t)
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
