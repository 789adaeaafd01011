// SPDX-License-Identifier: Apache-2.0

//go:build race

package runtimeinfo_test

const raceEnabled = true
