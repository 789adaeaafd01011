// SPDX-License-Identifier: Apache-2.0

//go:build race

package sampler_test

const raceEnabled = true
