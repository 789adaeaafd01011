// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// disk prints what the samples take on disk. A block is written after two hours, so Prometheus is asked
// for a snapshot, which has the samples of the run as blocks.
func (b *bench) disk(ctx context.Context) error {
	var wal int64
	if err := files(filepath.Join(b.prometheus.data, "wal"), func(_ string, info fs.FileInfo) error {
		wal += info.Size()
		return nil
	}); err != nil {
		return err
	}
	blocks, err := b.prometheus.snapshot(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%-44s %.0f MB\n", "write-ahead log", float64(wal)/1e6)
	fmt.Printf("%-44s %.2f bytes (%d samples)\n", "a sample in a block", float64(blocks.chunks)/float64(blocks.samples), blocks.samples)
	fmt.Printf("%-44s %.0f bytes (%d series)\n", "a series in the index of a block", float64(blocks.index)/float64(blocks.series), blocks.series)
	return nil
}

// blocks are the totals of blocks on disk.
type blocks struct {
	chunks, index   int64 // bytes
	samples, series uint64
}

// snapshot makes Prometheus write the samples in its memory to blocks, and returns their totals.
func (p *prometheus) snapshot(ctx context.Context) (all blocks, err error) {
	made, err := p.api.Snapshot(ctx, false)
	if err != nil {
		return all, fmt.Errorf("snapshot: %w", err)
	}
	dir := filepath.Join(p.data, "snapshots", made.Name)
	err = files(dir, all.add)
	if err == nil && (all.samples == 0 || all.chunks == 0 || all.index == 0) {
		err = fmt.Errorf("no blocks in %s", dir)
	}
	return all, err
}

// files calls f for each file below a folder.
func files(dir string, f func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return f(path, info)
	})
}

// add adds a file of a block.
func (b *blocks) add(path string, info fs.FileInfo) error {
	switch {
	case filepath.Base(filepath.Dir(path)) == "chunks":
		b.chunks += info.Size()
	case info.Name() == "index":
		b.index += info.Size()
	case info.Name() == "meta.json":
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var meta struct {
			Stats struct {
				NumSamples, NumSeries uint64
			}
		}
		if err := json.Unmarshal(text, &meta); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		b.samples, b.series = b.samples+meta.Stats.NumSamples, b.series+meta.Stats.NumSeries
	}
	return nil
}
