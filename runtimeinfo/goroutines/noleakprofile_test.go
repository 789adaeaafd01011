// SPDX-License-Identifier: Apache-2.0

//go:build !go1.27 && !goexperiment.goroutineleakprofile

package goroutines_test

const wantLeakProfile = false
