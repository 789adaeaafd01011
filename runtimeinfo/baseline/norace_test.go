// SPDX-License-Identifier: Apache-2.0

//go:build !race

package baseline_test

const raceEnabled = false
