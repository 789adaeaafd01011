// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A column of a block is a list of float32, each xor'ed with the one before it:
// what does not change is zero, and numbers that are whole or near each other
// differ in few bits, the lowest of which are zero. Turned round, such a word is
// a short varint. A run of n equal values is a zero byte and the varint n-1.

// appendColumn encodes values.
func appendColumn(dst []byte, values []float32) []byte {
	var last uint32
	for i := 0; i < len(values); {
		word := wordOf(values[i])
		if word != last {
			dst = binary.AppendUvarint(dst, uint64(bits.Reverse32(word^last)))
			last = word
			i++
			continue
		}
		run := 1
		for i+run < len(values) && wordOf(values[i+run]) == last {
			run++
		}
		dst = append(dst, 0)
		dst = binary.AppendUvarint(dst, uint64(run-1))
		i += run
	}
	return dst
}

// readColumn decodes as many values as fit into dst. It stops early where src is
// not what appendColumn made.
func readColumn(dst []float32, src []byte) {
	var last uint32
	for i := 0; i < len(dst) && len(src) > 0; {
		v, n := binary.Uvarint(src)
		if n <= 0 {
			return
		}
		src = src[n:]
		if v != 0 {
			last ^= bits.Reverse32(uint32(v)) //nolint:gosec // it was one
			dst[i] = math.Float32frombits(last)
			i++
			continue
		}
		run, n := binary.Uvarint(src)
		if n <= 0 {
			return
		}
		src = src[n:]
		for ; i < len(dst); i++ {
			dst[i] = math.Float32frombits(last)
			if run == 0 {
				i++
				break
			}
			run--
		}
	}
}

// wordOf is the bits of v; all NaNs, which mean absent, have the same.
func wordOf(v float32) uint32 {
	if v != v {
		return absentWord
	}
	return math.Float32bits(v)
}

const absentWord = 0x7fc00000

func absent() float32 { return math.Float32frombits(absentWord) }

// isAbsent tells whether a value is one that was not there.
func isAbsent(v float32) bool { return v != v }
