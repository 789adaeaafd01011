// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package host

import "errors"

// CountConnections counts the connections of this process by direction. On this system it
// returns [errors.ErrUnsupported].
func CountConnections(int) (Connections, error) { return Connections{}, errors.ErrUnsupported }
