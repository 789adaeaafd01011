// SPDX-License-Identifier: Apache-2.0

//go:build race

package capacity_test

const raceEnabled = true
