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

// TestMain of the package has one line, leaktest.Main(m). Here the tests run in a
// process of their own, because Main ends it.
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

// A goroutine that takes long to end gets the time that it needs.
func ExampleWait() {
	t := &recorder{TB: &testing.T{}}
	leaktest.Check(t, leaktest.Wait(10*time.Second))

	flush := time.NewTimer(50 * time.Millisecond)
	go func() { <-flush.C }()

	fmt.Printf("%q\n", t.end())
	// Output: ""
}

// The worker of a library that cannot be stopped is ignored, and nothing else that
// calls the functions that it waits in.
func ExampleIgnoreEntry() {
	t := &recorder{TB: &testing.T{}}
	leaktest.Check(t, leaktest.IgnoreEntry("github.com/gmpulse/gmpulse/runtimeinfo/goroutines/leaktest_test.outer"))

	stop := make(chan struct{})
	defer close(stop)
	go outer(stop)

	fmt.Printf("%q\n", t.end())
	// Output: ""
}

// Whatever waits in the function is ignored, wherever it began.
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

// TestMain starts what all tests use, and then tells Main to ignore it.
func ExampleIgnoreCurrent() {
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildClean$")
	cmd.Env = append(os.Environ(), childVariable+"=current") // go server(); leaktest.Main(m, leaktest.IgnoreCurrent())
	err := cmd.Run()

	fmt.Println(err)
	// Output: <nil>
}
