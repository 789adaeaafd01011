//go:build race

package goroutines_test

const raceEnabled = true
