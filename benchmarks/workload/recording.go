// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"compress/gzip"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// frame is a snapshot in a recording. Schema is empty unless it differs from the schema
// of the frame before.
type frame struct {
	Schema []byte
	Record []byte
}

func recordingPath(dir string, seed uint64) string {
	return filepath.Join(dir, fmt.Sprintf("seed-%d.gob.gz", seed))
}

// recorder writes the snapshots of a run to a file, so that another version of the
// baselines can be evaluated on the same data.
type recorder struct {
	file    *os.File
	zip     *gzip.Writer
	gob     *gob.Encoder
	encoder codec.Encoder
	schema  codec.SchemaID
}

func newRecorder(path string) (*recorder, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	z := gzip.NewWriter(f)
	return &recorder{file: f, zip: z, gob: gob.NewEncoder(z)}, nil
}

func (r *recorder) write(s *runtimeinfo.Snapshot) error {
	var f frame
	var err error
	if f.Record, err = r.encoder.Append(nil, s); err != nil {
		return err
	}
	if id, schema := r.encoder.Schema(); id != r.schema {
		r.schema, f.Schema = id, schema
	}
	return r.gob.Encode(f)
}

func (r *recorder) close() error { return errors.Join(r.zip.Close(), r.file.Close()) }

// recording reads the snapshots of an earlier run.
type recording struct {
	file    *os.File
	gob     *gob.Decoder
	decoder codec.Decoder
}

func openRecording(path string) (*recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &recording{file: f, gob: gob.NewDecoder(z)}, nil
}

func (r *recording) close() error { return r.file.Close() }

func (r *recording) recover() {}

func (r *recording) next(func(*service)) (*runtimeinfo.Snapshot, error) {
	var f frame
	if err := r.gob.Decode(&f); errors.Is(err, io.EOF) {
		return nil, errors.New("the recording ends early: it was made with other phases")
	} else if err != nil {
		return nil, err
	}
	if f.Schema != nil {
		if _, err := r.decoder.Learn(f.Schema); err != nil {
			return nil, err
		}
	}
	return r.decoder.Decode(f.Record)
}
