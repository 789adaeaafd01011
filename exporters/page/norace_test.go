// SPDX-License-Identifier: Apache-2.0

//go:build !race

package page_test

const raceEnabled = false
