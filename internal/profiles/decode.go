// SPDX-License-Identifier: Apache-2.0

// Package profiles reads what runtime/pprof writes.
package profiles

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/google/pprof/profile"
)

// maxUnpacked bounds what a file of some kilobytes may make of itself in the memory of
// the service that shows it.
const maxUnpacked = 64 << 20

// ErrTooLarge means that a profile unpacks to more than 64 MiB.
var ErrTooLarge = errors.New("it unpacks to more than 64 MiB")

// Decode reads a profile of Go 1.9 or later, compressed as it is written or not.
// [profile.ParseData] reads the formats of before, too, and those of C++: with
// parsers for six of them, 80 KB in the binary of whoever calls it.
func Decode(data []byte) (*profile.Profile, error) {
	if isGzip := bytes.HasPrefix(data, []byte{0x1f, 0x8b}); isGzip {
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
