// SPDX-License-Identifier: Apache-2.0

// Package profiles writes the profiles of the runtime and decodes them.
package profiles

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/google/pprof/profile"
)

// maxUnpacked bounds the decompressed size of a profile: a small file must not exhaust the
// memory of the service that decodes it.
const maxUnpacked = 64 << 20

// ErrTooLarge is the error of a profile whose decompressed size exceeds 64 MiB.
var ErrTooLarge = errors.New("decompressed size exceeds 64 MiB")

// Decode decodes a profile of Go 1.9 or later, compressed or not. [profile.ParseData] also
// accepts six older formats, whose parsers add 80 KB to the binary.
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
