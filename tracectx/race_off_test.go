// SPDX-License-Identifier: Apache-2.0

//go:build !race

package tracectx_test

const raceEnabled = false
