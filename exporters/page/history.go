// SPDX-License-Identifier: Apache-2.0

package page

import (
	"slices"
	"strings"
	"sync"
)

const (
	// blockRows is the number of rows that are packed together: two minutes at one row
	// a second.
	blockRows = 120
	// fineBlocks is the number of blocks at full resolution: an hour at one row a
	// second. thinning is the number of rows that one row of an older block stands for.
	fineBlocks = 30
	thinning   = 10
	// maxColumns bounds the number of columns. The catalogue has about 150 numbers.
	maxColumns = 512
	// historyBytes bounds the memory of all rows. TestMemoryIsBounded holds everything
	// that the page keeps below 2 MB.
	historyBytes = 1100 << 10
)

// history keeps one row of numbers for each sample: an hour at full resolution and
// older rows thinned. It drops the oldest rows when they exceed historyBytes. One
// goroutine adds rows, any number of goroutines read them.
type history struct {
	mu     sync.RWMutex
	keys   []string       // names of the columns, in the order in which they were first seen
	index  map[string]int // columns by name; only the goroutine that adds rows uses it
	open   table          // rows that are not packed yet
	fine   []*block       // oldest first
	coarse []*block       // thinned, older than all of fine
	seq    uint64         // of the newest row
	newest int64          // Unix ms of the newest row
}

// table is a list of rows. A row has a value for each of some columns; the columns
// that it is too short for are absent.
type table struct {
	seqs  []uint64
	times []int64 // Unix ms, ascending
	rows  [][]float32
}

func (t *table) add(seq uint64, ms int64, row []float32) {
	t.seqs, t.times, t.rows = append(t.seqs, seq), append(t.times, ms), append(t.rows, row)
}

// appendBlock appends the rows [i, j) of a block with the given columns.
func (t *table) appendBlock(b *block, columns []int, i, j int) {
	if i < j {
		t.seqs = append(t.seqs, b.seqs[i:j]...)
		t.times = append(t.times, b.times[i:j]...)
		t.rows = append(t.rows, b.unpack(columns)[i:j]...)
	}
}

func newHistory() *history { return &history{index: map[string]int{}} }

// column returns the number of a column and adds the column if need be. It returns -1
// if there are maxColumns already. Only the goroutine that adds rows may call it.
func (h *history) column(key string) int {
	if i, ok := h.index[key]; ok {
		return i
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.keys) == maxColumns {
		return -1
	}
	h.index[key] = len(h.keys)
	h.keys = append(h.keys, key)
	return len(h.keys) - 1
}

// add appends a row, which it keeps. Times must ascend.
func (h *history) add(ms int64, row []float32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	h.newest = ms
	h.open.add(h.seq, ms, row)
	if len(h.open.rows) == blockRows {
		h.pack()
	}
}

// pack turns the open rows into a block and drops what exceeds historyBytes.
func (h *history) pack() {
	h.fine = append(h.fine, newBlock(h.open, len(h.keys)))
	h.open = table{}
	if len(h.fine) > fineBlocks {
		h.thin()
	}
	budget := historyBytes - blockRows*len(h.keys)*4
	for h.packedBytes() > budget {
		if len(h.coarse) > 0 {
			h.coarse = slices.Delete(h.coarse, 0, 1)
		} else {
			h.fine = slices.Delete(h.fine, 0, 1)
		}
	}
}

// packedBytes returns the memory of all blocks.
func (h *history) packedBytes() (n int) {
	for _, b := range slices.Concat(h.coarse, h.fine) {
		n += b.bytes()
	}
	return n
}

// thin packs the ten oldest fine blocks into a coarse one.
func (h *history) thin() {
	var t table
	keepLeast := minima(h.keys)
	for _, b := range h.fine[:thinning] {
		for at, rows := range slices.Collect(slices.Chunk(b.unpack(columnNumbers(len(h.keys))), thinning)) {
			at *= thinning
			t.add(b.seqs[at+len(rows)-1], b.times[at], extremes(rows, keepLeast))
		}
	}
	h.fine = slices.Delete(h.fine, 0, thinning)
	h.coarse = append(h.coarse, newBlock(t, len(h.keys)))
}

// minima reports for each column whether its least value matters, not its greatest:
// minima, free capacity and lower bounds.
func minima(keys []string) []bool {
	least := make([]bool, len(keys))
	for i, k := range keys {
		least[i] = strings.Contains(k, ".min") || strings.Contains(k, "headroom") || strings.HasPrefix(k, bandLower)
	}
	return least
}

// extremes merges rows into one with the greatest or the least value of each column,
// so that a peak of one second remains visible.
func extremes(rows [][]float32, keepLeast []bool) []float32 {
	out := make([]float32, len(keepLeast))
	for c := range out {
		v := absent()
		for _, r := range rows {
			if x := r[c]; isAbsent(v) || !isAbsent(x) && (x < v) == keepLeast[c] {
				v = x
			}
		}
		out[c] = v
	}
	return out
}

// columnNumbers returns the numbers of the first n columns.
func columnNumbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// blocks returns all rows as blocks, oldest first, and the number of columns.
func (h *history) blocks() (all []*block, columns int) {
	h.mu.RLock()
	all, open, columns := slices.Concat(h.coarse, h.fine), h.open, len(h.keys)
	h.mu.RUnlock()
	if len(open.rows) > 0 {
		all = append(all, newBlock(open, columns))
	}
	return all, columns
}

// read returns the rows within [from, to] with the given columns, or with all columns
// if columns is nil.
func (h *history) read(from, to int64, columns []int) (t table) {
	blocks, n := h.blocks()
	if columns == nil {
		columns = columnNumbers(n)
	}
	for _, b := range blocks {
		i, _ := slices.BinarySearch(b.times, from)
		j, _ := slices.BinarySearch(b.times, to+1)
		t.appendBlock(b, columns, i, j)
	}
	return t
}

// after returns at most n rows that are newer than row seq, oldest first and with all
// columns, the number of columns, and the number of the newest row.
func (h *history) after(seq uint64, n int) (t table, columns int, newest uint64) {
	blocks, columns := h.blocks()
	all := columnNumbers(columns)
	for _, b := range blocks {
		i, _ := slices.BinarySearch(b.seqs, seq+1)
		t.appendBlock(b, all, i, min(len(b.seqs), i+n-len(t.rows)))
		newest = last(b.seqs)
	}
	return t, columns, newest
}

// span returns the times of the oldest and the newest row, and the number of the
// newest.
func (h *history) span() (from, to int64, seq uint64) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	switch {
	case len(h.coarse) > 0:
		from = h.coarse[0].times[0]
	case len(h.fine) > 0:
		from = h.fine[0].times[0]
	case len(h.open.times) > 0:
		from = h.open.times[0]
	}
	return from, h.newest, h.seq
}

// directory returns the names of all columns. Columns are only ever added.
func (h *history) directory() []string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clip(h.keys)
}

// bytes returns the memory of all rows.
func (h *history) bytes() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.packedBytes() + 4*len(h.open.rows)*len(h.keys)
}
