//go:build race

package runtimeinfo_test

const raceEnabled = true
