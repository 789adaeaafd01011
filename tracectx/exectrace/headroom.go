// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"fmt"

	"github.com/gmpulse/gmpulse/internal/headroom"
)

// readingFactor is the memory that making and reading a recording takes, as a
// multiple of its size.
const readingFactor = 4

// checkHeadroom returns ErrMemory if making and reading a recording of the given size
// would bring the process close to its memory limit.
func checkHeadroom(bytes int) error {
	if err := headroom.Check(readingFactor * int64(bytes)); err != nil {
		return fmt.Errorf("%w: %w", ErrMemory, err)
	}
	return nil
}
