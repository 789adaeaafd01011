// SPDX-License-Identifier: Apache-2.0

package leaktest_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest"
)

// A test begins with leaktest.Check(t). The t of this example prints its failure.
func ExampleCheck() {
	t := &recorder{TB: &testing.T{}}
	leaktest.Check(t)

	result := make(chan int)
	go func() { result <- 42 }() // blocks: there is no receiver

	message := t.end() // the test ends
	<-result
	fmt.Println(strings.Contains(message, "1 in chan send"))
	// Output: true
}

// TestMain calls leaktest.Main(m). This example runs the tests in another process, because Main ends
// it.
func ExampleMain() {
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildLeak$")
	cmd.Env = append(os.Environ(), childVariable+"=plain")
	out, err := cmd.CombinedOutput()

	fmt.Println(err)
	fmt.Println(strings.Contains(string(out), "leaktest: 2 goroutines are left"))
	// Output:
	// exit status 1
	// true
}

// Wait allows goroutines more time to end.
func ExampleWait() {
	t := &recorder{TB: &testing.T{}}
	leaktest.Check(t, leaktest.Wait(10*time.Second))

	flush := time.NewTimer(50 * time.Millisecond)
	go func() { <-flush.C }()

	fmt.Printf("%q\n", t.end())
	// Output: ""
}

// Ignore the worker of a library that cannot be stopped.
func ExampleIgnoreEntry() {
	t := &recorder{TB: &testing.T{}}
	leaktest.Check(t, leaktest.IgnoreEntry("github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test.outer"))

	stop := make(chan struct{})
	defer close(stop)
	go outer(stop)

	fmt.Printf("%q\n", t.end())
	// Output: ""
}

// Ignore all goroutines in a function, wherever they began.
func ExampleIgnoreFunction() {
	t := &recorder{TB: &testing.T{}}
	leaktest.Check(t, leaktest.IgnoreFunction("github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test.wait"))

	stop := make(chan struct{})
	defer close(stop)
	go outer(stop)
	go func() { wait(stop) }()

	fmt.Printf("%q\n", t.end())
	// Output: ""
}

// TestMain starts what all tests use, and lets Main ignore it.
func ExampleIgnoreCurrent() {
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildClean$")
	cmd.Env = append(os.Environ(), childVariable+"=current") // go server(); leaktest.Main(m, leaktest.IgnoreCurrent())
	err := cmd.Run()

	fmt.Println(err)
	// Output: <nil>
}
