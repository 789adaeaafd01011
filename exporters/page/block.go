// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// block is a list of rows, compressed by column. It is immutable.
type block struct {
	seqs    []uint64
	times   []int64  // Unix ms, ascending
	offsets []uint32 // of the columns in data, and the end of the last
	data    []byte
}

func newBlock(t table, columns int) *block {
	b := &block{seqs: slices.Clone(t.seqs), times: slices.Clone(t.times), offsets: make([]uint32, columns+1)}
	values := make([]float32, len(t.rows))
	for c := range columns {
		for r, row := range t.rows {
			values[r] = valueAt(row, c)
		}
		b.data = appendColumn(b.data, values)
		b.offsets[c+1] = uint32(len(b.data)) //nolint:gosec // some kilobytes
	}
	b.data = slices.Clone(b.data) // without the spare capacity
	return b
}

// bytes returns the memory of b.
func (b *block) bytes() int { return cap(b.data) + 4*len(b.offsets) + 16*len(b.times) + 128 }

// unpack returns the rows with the given columns.
func (b *block) unpack(columns []int) [][]float32 {
	cells := make([]float32, len(b.times)*len(columns))
	rows := make([][]float32, len(b.times))
	for r := range rows {
		rows[r], cells = cells[:len(columns):len(columns)], cells[len(columns):]
	}
	values := make([]float32, len(b.times))
	for i, c := range columns {
		for r := range values {
			values[r] = absent()
		}
		if c+1 < len(b.offsets) {
			readColumn(values, b.data[b.offsets[c]:b.offsets[c+1]])
		}
		for r, v := range values {
			rows[r][i] = v
		}
	}
	return rows
}

// valueAt returns a value of a row, absent if the row has no such column.
func valueAt(row []float32, c int) float32 {
	if c < len(row) {
		return row[c]
	}
	return absent()
}

// appendColumn appends the encoding of values to dst. It xors the bits of each value
// with the bits of the previous one, reverses the result, which is then a small number
// for similar values, and writes it as a varint. Zero, for equal values, is followed
// by the number of further equal values, also as a varint.
func appendColumn(dst []byte, values []float32) []byte {
	var last uint32
	for i := 0; i < len(values); i++ {
		word := wordOf(values[i])
		dst = binary.AppendUvarint(dst, uint64(bits.Reverse32(word^last)))
		if word == last {
			run := 0
			for i+1 < len(values) && wordOf(values[i+1]) == last {
				run++
				i++
			}
			dst = binary.AppendUvarint(dst, uint64(run)) //nolint:gosec // a count
		}
		last = word
	}
	return dst
}

// readColumn decodes at most len(dst) values. It stops at the first error in src.
func readColumn(dst []float32, src []byte) {
	var last uint32
	for i := 0; i < len(dst); {
		v, n := binary.Uvarint(src)
		if n <= 0 {
			return
		}
		src = src[n:]
		count := 1
		if v == 0 {
			run, n := binary.Uvarint(src)
			if n <= 0 {
				return
			}
			src = src[n:]
			count = int(min(run, uint64(len(dst)))) + 1 //nolint:gosec // a length
		}
		last ^= bits.Reverse32(uint32(v)) //nolint:gosec // appendColumn wrote 32 bits
		for ; count > 0 && i < len(dst); count-- {
			dst[i] = math.Float32frombits(last)
			i++
		}
	}
}

// wordOf returns the bits of v, the same for all NaNs.
func wordOf(v float32) uint32 {
	if isAbsent(v) {
		return absentWord
	}
	return math.Float32bits(v)
}

const absentWord = 0x7fc00000

// absent returns the NaN that stands for a missing value.
func absent() float32 { return math.Float32frombits(absentWord) }

// isAbsent reports whether v is a NaN.
func isAbsent(v float32) bool { return v != v }
