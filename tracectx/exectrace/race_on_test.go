// SPDX-License-Identifier: Apache-2.0

//go:build race

package exectrace_test

const raceEnabled = true
