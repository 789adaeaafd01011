package leaktest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest"
)

// In a test it is one line, leaktest.Check(t), the first. Here t is a stand-in, so
// that its failure can be shown.
func ExampleCheck() {
	t := &recorder{TB: &testing.T{}}
	leaktest.Check(t)

	result := make(chan int)
	go func() { result <- 42 }() // nobody receives

	message := t.end() // the test is over
	<-result
	fmt.Println(strings.Contains(message, "1 in chan send"))
	// Output: true
}
