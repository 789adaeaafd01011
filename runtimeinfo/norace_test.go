//go:build !race

package runtimeinfo_test

const raceEnabled = false
