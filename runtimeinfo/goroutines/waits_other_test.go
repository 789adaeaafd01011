// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package goroutines_test

func startFiles(*scene) []wait { return nil }
