//go:build !unix

package goroutines_test

func startFiles(*scene) []wait { return nil }
