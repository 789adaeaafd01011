// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package page_test

import "time"

// threadTime is the time of day, where no thread's can be read.
func threadTime() time.Duration { return time.Duration(time.Now().UnixNano()) }
