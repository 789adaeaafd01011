// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/gmpulse/gmpulse/internal/codec"
)

// A stored record is a header and the encoded snapshot. The header has the CRC-32C of
// the record's key and everything after the checksum (bbolt has none for its data), the
// time of acceptance in nanoseconds and the number of events.
const headerSize = 4 + 8 + 4

// newRecord returns a record without a checksum.
func newRecord(e *entry, body []byte) []byte {
	v := make([]byte, headerSize, headerSize+len(body))
	binary.LittleEndian.PutUint64(v[4:], uint64(e.accepted.UnixNano()))
	binary.LittleEndian.PutUint32(v[12:], uint32(e.events))
	return append(v, body...)
}

func setChecksum(key uint64, v []byte) { binary.LittleEndian.PutUint32(v, checksum(key, v)) }

// intact reports whether the length and the checksum of a record are valid.
func intact(key uint64, v []byte) bool {
	return len(v) >= headerSize && len(v) <= headerSize+codec.MaxEncoded && checksum(key, v) == binary.LittleEndian.Uint32(v)
}

func checksum(key uint64, v []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(keyBytes(key), table), table, v[4:])
}

func keyBytes(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// entryOf returns the entry of an intact record. A time of acceptance in the future
// counts as now.
func entryOf(key uint64, v []byte, now time.Time) (*entry, error) {
	accepted := time.Unix(0, int64(binary.LittleEndian.Uint64(v[4:])))
	schema, err := codec.SchemaOf(v[headerSize:])
	return &entry{
		accepted: now.Add(-max(0, now.Sub(accepted))), // has a monotonic reading, unlike the stored time
		events:   int(binary.LittleEndian.Uint32(v[12:])),
		size:     entryOverhead + int64(len(v)-headerSize),
		schema:   schema,
		key:      key,
	}, err
}
