// SPDX-License-Identifier: Apache-2.0

package page

import (
	"slices"
	"strings"
	"sync"
)

const (
	// blockRows is how many rows are packed together: two minutes at a second.
	blockRows = 120
	// fineBlocks at full resolution are an hour at one row a second; what is
	// older is thinned by thinning, and one row then stands for ten seconds.
	fineBlocks = 30
	thinning   = 10
	// maxColumns bounds the directory. The catalogue has about 150 numbers.
	maxColumns = 512
	// historyBytes is what rows may take, packed and open together. Everything
	// that the page keeps is held below 2 MB, see TestMemory.
	historyBytes = 1100 << 10
)

// history keeps one row of numbers for every sample, packed in columns: an hour
// at full resolution, older rows thinned, the oldest dropped when the room is
// used up. Rows are added by one goroutine and read by any number.
type history struct {
	mu     sync.RWMutex
	keys   []string // of the columns, in the order in which they were first seen
	index  map[string]int
	seq    uint64 // of the newest row
	open   block  // the rows that are not packed yet
	rows   [][]float32
	fine   []*block // oldest first
	coarse []*block // older than all of fine, thinned
	bytes  int      // of fine and coarse
	lost   uint64   // values that found no room in the directory
}

// block is some rows in a row. A packed block is never changed.
type block struct {
	seqs    []uint64
	times   []int64 // Unix time in ms, ascending
	offsets []uint32
	data    []byte
}

func newHistory() *history { return &history{index: map[string]int{}} }

// column returns the number of a column, a new one if need be; -1 when the
// directory is full. Only the goroutine that adds rows may call it.
func (h *history) column(key string) int {
	if i, ok := h.index[key]; ok {
		return i
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.keys) == maxColumns {
		h.lost++
		return -1
	}
	h.keys = append(h.keys, key)
	h.index[key] = len(h.keys) - 1
	return len(h.keys) - 1
}

// known tells whether there is a column of that name. Only the goroutine that
// adds rows may call it.
func (h *history) known(key string) bool {
	_, ok := h.index[key]
	return ok
}

// add appends a row. Times must ascend; a row that does not come after the one
// before it is left out. It keeps row.
func (h *history) add(ms int64, row []float32) (ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last, some := h.last(); some && ms <= last {
		return false
	}
	h.seq++
	if h.open.seqs == nil {
		h.open = block{seqs: make([]uint64, 0, blockRows), times: make([]int64, 0, blockRows)}
	}
	h.open.seqs = append(h.open.seqs, h.seq)
	h.open.times = append(h.open.times, ms)
	h.rows = append(h.rows, row)
	if len(h.rows) == blockRows {
		h.pack()
	}
	return true
}

// last is the time of the newest row.
func (h *history) last() (ms int64, ok bool) {
	if n := len(h.open.times); n > 0 {
		return h.open.times[n-1], true
	}
	if n := len(h.fine); n > 0 {
		return h.fine[n-1].times[len(h.fine[n-1].times)-1], true
	}
	return 0, false
}

// pack closes the open block and makes room.
func (h *history) pack() {
	b := packed(h.open.seqs, h.open.times, h.rows, len(h.keys))
	h.fine = append(h.fine, b)
	h.bytes += b.size()
	h.open, h.rows = block{}, nil
	for len(h.fine) > fineBlocks {
		h.thin()
	}
	budget := historyBytes - blockRows*len(h.keys)*4
	for h.bytes > budget && len(h.coarse) > 0 {
		h.bytes -= h.coarse[0].size()
		h.coarse = slices.Delete(h.coarse, 0, 1)
	}
	for h.bytes > budget && len(h.fine) > 0 {
		h.bytes -= h.fine[0].size()
		h.fine = slices.Delete(h.fine, 0, 1)
	}
}

// thin packs the ten oldest fine blocks into a coarse one.
func (h *history) thin() {
	var seqs []uint64
	var times []int64
	var rows [][]float32
	least := leastOf(h.keys)
	for _, b := range h.fine[:thinning] {
		h.bytes -= b.size()
		all := b.unpack(nil, len(h.keys))
		for at := 0; at < len(all); at += thinning {
			group := all[at:min(at+thinning, len(all))]
			seqs = append(seqs, b.seqs[at+len(group)-1])
			times = append(times, b.times[at])
			rows = append(rows, extremesOf(group, least))
		}
	}
	c := packed(slices.Clone(seqs), slices.Clone(times), rows, len(h.keys))
	h.bytes += c.size()
	h.fine = slices.Delete(h.fine, 0, thinning)
	h.coarse = append(h.coarse, c)
}

// leastOf tells the columns of which the least value matters, not the greatest:
// minima, what is left below a limit, and what is expected at least.
func leastOf(keys []string) []bool {
	least := make([]bool, len(keys))
	for i, k := range keys {
		least[i] = strings.Contains(k, ".min") || strings.Contains(k, "headroom") || strings.HasPrefix(k, bandLower)
	}
	return least
}

// extremesOf makes one row of several: a peak of a second stays one.
func extremesOf(rows [][]float32, least []bool) []float32 {
	out := make([]float32, len(least))
	for c := range out {
		v := absent()
		for _, r := range rows {
			x := r[c]
			if isAbsent(v) || !isAbsent(x) && (x < v) == least[c] {
				v = x
			}
		}
		out[c] = v
	}
	return out
}

func packed(seqs []uint64, times []int64, rows [][]float32, columns int) *block {
	b := &block{seqs: seqs, times: times, offsets: make([]uint32, columns+1)}
	values := make([]float32, len(rows))
	for c := range columns {
		for r, row := range rows {
			values[r] = at(row, c)
		}
		b.data = appendColumn(b.data, values)
		b.offsets[c+1] = uint32(len(b.data)) //nolint:gosec // some kilobytes
	}
	b.data = slices.Clone(b.data) // without what append left over
	return b
}

// at is a value of a row that may be older than the column.
func at(row []float32, c int) float32 {
	if c < len(row) {
		return row[c]
	}
	return absent()
}

func (b *block) size() int { return cap(b.data) + 4*len(b.offsets) + 16*len(b.times) + 128 }

// unpack returns the rows of a packed block: the given columns in their order,
// or the first so many where columns is nil.
func (b *block) unpack(columns []int, count int) [][]float32 {
	if columns != nil {
		count = len(columns)
	}
	cells := make([]float32, len(b.times)*count)
	rows := make([][]float32, len(b.times))
	for r := range rows {
		rows[r] = cells[r*count : (r+1)*count : (r+1)*count]
	}
	values := make([]float32, len(b.times))
	for i := range count {
		c := i
		if columns != nil {
			c = columns[i]
		}
		for r := range values {
			values[r] = absent()
		}
		if c >= 0 && c+1 < len(b.offsets) {
			readColumn(values, b.data[b.offsets[c]:b.offsets[c+1]])
		}
		for r, v := range values {
			rows[r][i] = v
		}
	}
	return rows
}

// table is a part of the history, unpacked.
type table struct {
	seqs  []uint64
	times []int64
	rows  [][]float32
}

// read returns the rows within [from, to] with the given columns, or, where
// columns is nil, with all. What it returns is the caller's to keep, not to change.
func (h *history) read(from, to int64, columns []int) table {
	blocks, open, count := h.within(from, to)
	var t table
	for _, b := range blocks {
		t.add(b.seqs, b.times, b.unpack(columns, count), from, to)
	}
	rows := make([][]float32, len(open.rows))
	for i, row := range open.rows {
		rows[i] = pick(row, columns, count)
	}
	t.add(open.seqs, open.times, rows, from, to)
	return t
}

// within returns the packed blocks that may have rows in a range, and the open
// rows. Unpacking is for the caller, without the lock.
func (h *history) within(from, to int64) (blocks []*block, open table, columns int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, list := range [][]*block{h.coarse, h.fine} {
		for _, b := range list {
			if b.times[0] <= to && b.times[len(b.times)-1] >= from {
				blocks = append(blocks, b)
			}
		}
	}
	open = table{seqs: h.open.seqs, times: h.open.times, rows: h.rows}
	return blocks, open, len(h.keys)
}

func (t *table) add(seqs []uint64, times []int64, rows [][]float32, from, to int64) {
	first, _ := slices.BinarySearch(times, from)
	end, _ := slices.BinarySearch(times, to+1)
	if first >= end {
		return
	}
	t.seqs = append(t.seqs, seqs[first:end]...)
	t.times = append(t.times, times[first:end]...)
	t.rows = append(t.rows, rows[first:end]...)
}

// pick takes columns out of a row that is not packed yet.
func pick(row []float32, columns []int, count int) []float32 {
	if columns == nil {
		out := make([]float32, count)
		for c := range out {
			out[c] = at(row, c)
		}
		return out
	}
	out := make([]float32, len(columns))
	for i, c := range columns {
		out[i] = absent()
		if c >= 0 {
			out[i] = at(row, c)
		}
	}
	return out
}

// span is the time of the oldest and the newest row, and the newest's number.
func (h *history) span() (from, to int64, seq uint64) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	to, _ = h.last()
	switch {
	case len(h.coarse) > 0:
		from = h.coarse[0].times[0]
	case len(h.fine) > 0:
		from = h.fine[0].times[0]
	case len(h.open.times) > 0:
		from = h.open.times[0]
	}
	return from, to, h.seq
}

// directory returns the keys of all columns; its length is its version.
func (h *history) directory() []string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clip(h.keys)
}

// after returns the rows that are newer than seq, at most so many and the oldest first,
// with all columns, and how many columns and which newest row there were.
func (h *history) after(seq uint64, most int) (t table, columns int, newest uint64) {
	h.mu.RLock()
	newest = h.seq
	from, to := h.timeOf(seq+1), h.timeOf(seq+uint64(most)) //nolint:gosec // most is positive
	columns = len(h.keys)
	h.mu.RUnlock()
	if newest <= seq {
		return table{}, columns, newest
	}
	t = h.read(from, to, nil)
	skip, _ := slices.BinarySearch(t.seqs, seq+1)
	t.seqs, t.times, t.rows = t.seqs[skip:], t.times[skip:], t.rows[skip:]
	return t, columns, newest
}

// timeOf is the time of a row, or of the next that is kept; of the newest for a row
// that is still to come.
func (h *history) timeOf(seq uint64) int64 {
	for _, list := range [][]*block{h.coarse, h.fine, {&h.open}} {
		for _, b := range list {
			if n := len(b.seqs); n > 0 && seq <= b.seqs[n-1] {
				i, _ := slices.BinarySearch(b.seqs, seq)
				return b.times[i]
			}
		}
	}
	newest, _ := h.last()
	return newest
}

// cost is the size of the packed rows, and how many values found no column.
func (h *history) cost() (bytes int, lost uint64) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.bytes + 4*len(h.rows)*len(h.keys), h.lost
}
