// SPDX-License-Identifier: Apache-2.0

// Package profiles writes the profiles of the runtime and decodes them.
package profiles

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/headroom"
)

// maxUnpacked bounds the decompressed size of a profile: a small file must not exhaust the
// memory of the service that decodes it.
const maxUnpacked = 64 << 20

// ErrTooLarge is the error of a profile whose decompressed size exceeds 64 MiB.
var ErrTooLarge = errors.New("decompressed size exceeds 64 MiB")

// Decode decodes a profile of Go 1.9 or later, compressed or not. [profile.ParseData] also
// accepts six older formats, whose parsers add 80 KB to the binary. The error wraps
// [headroom.ErrShort] if there is not enough memory.
func Decode(data []byte) (*profile.Profile, error) {
	size := Size(data)
	if size > maxUnpacked {
		return nil, fmt.Errorf("decompress profile: %w", ErrTooLarge)
	}
	if err := headroom.Check(headroom.Parsing(size)); err != nil {
		return nil, fmt.Errorf("decode profile: %w", err)
	}
	if isGzip(data) {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("decompress profile: %w", err)
		}
		if data, err = io.ReadAll(io.LimitReader(z, maxUnpacked+1)); err != nil {
			return nil, fmt.Errorf("decompress profile: %w", err)
		}
		if len(data) > maxUnpacked {
			return nil, fmt.Errorf("decompress profile: %w", ErrTooLarge)
		}
	}
	p, err := profile.ParseUncompressed(data)
	if err != nil {
		return nil, err
	}
	return p, p.CheckValid()
}

// Size returns the uncompressed size of an encoded profile, which gzip writes to the end.
func Size(data []byte) int64 {
	if n := len(data); n >= 4 && isGzip(data) {
		return int64(binary.LittleEndian.Uint32(data[n-4:]))
	}
	return int64(len(data))
}

func isGzip(data []byte) bool { return bytes.HasPrefix(data, []byte{0x1f, 0x8b}) }
