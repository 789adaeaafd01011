// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package page_test

import "time"

// threadTime returns the time of day, because the CPU time of a thread is not available.
func threadTime() time.Duration { return time.Duration(time.Now().UnixNano()) }
