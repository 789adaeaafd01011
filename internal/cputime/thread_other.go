// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cputime

import "time"

// thread returns 0: this system does not report thread times.
func thread() time.Duration { return 0 }
