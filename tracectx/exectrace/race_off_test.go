//go:build !race

package exectrace_test

const raceEnabled = false
