//go:build race

package tracectx_test

const raceEnabled = true
