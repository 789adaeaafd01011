// Package profiles reads what runtime/pprof writes.
package profiles

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/google/pprof/profile"
)

// Decode reads a profile of Go 1.9 or later, compressed as it is written or not.
// [profile.ParseData] reads the formats of before, too, and those of C++: with
// parsers for six of them, 80 KB in the binary of whoever calls it.
func Decode(data []byte) (*profile.Profile, error) {
	if isGzip := bytes.HasPrefix(data, []byte{0x1f, 0x8b}); isGzip {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("decompress profile: %w", err)
		}
		if data, err = io.ReadAll(z); err != nil {
			return nil, fmt.Errorf("decompress profile: %w", err)
		}
	}
	p, err := profile.ParseUncompressed(data)
	if err != nil {
		return nil, err
	}
	return p, p.CheckValid()
}
