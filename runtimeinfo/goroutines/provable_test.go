//go:build go1.27 || goexperiment.goroutineleakprofile

package goroutines_test

const wantProvable = true
