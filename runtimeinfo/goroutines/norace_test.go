// SPDX-License-Identifier: Apache-2.0

//go:build !race

package goroutines_test

const raceEnabled = false
