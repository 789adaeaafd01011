package leaktest_test

import (
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest"
)

func ExampleCheck() {
	var t *testing.T // that of your test

	leaktest.Check(t)              // first
	result := make(chan string, 1) // without the 1, nobody receives and the test fails with the line below
	go func() { result <- "done" }()
}
