// SPDX-License-Identifier: Apache-2.0

package child_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/examples/child"
)

const modeVariable = "CHILD_TEST_MODE"

func TestMain(m *testing.M) {
	switch os.Getenv(modeVariable) {
	case "serve":
		fmt.Println("127.0.0.1:1", len(os.Args))
		<-child.ParentDone()
		if err := os.WriteFile(os.Args[1], []byte("ended"), 0o600); err != nil {
			panic(err)
		}
	case "fail":
		os.Exit(3)
	default:
		os.Exit(m.Run())
	}
}

func TestStopEndsTheChildAndWaitsForIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "end")
	var address string
	var args int
	stop, err := child.Start(t.Context(), []string{modeVariable + "=serve"}, []string{file}, &address, &args)
	if err != nil {
		t.Fatal(err)
	}
	if address != "127.0.0.1:1" || args != 2 {
		t.Errorf("the child printed %q and %d", address, args)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the child ended before stop")
	}
	stop()
	if _, err := os.Stat(file); err != nil {
		t.Errorf("stop returned before the child ended: %v", err)
	}
}

func TestStartReportsAChildThatEndsEarly(t *testing.T) {
	var address string
	_, err := child.Start(t.Context(), []string{modeVariable + "=fail"}, []string{"x"}, &address)
	if err == nil || !strings.Contains(err.Error(), "child process [x]") {
		t.Errorf("Start returned %v", err)
	}
}

func TestStartKillsTheChildWhenTheContextIsDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "end")
	var address string
	stop, err := child.Start(ctx, []string{modeVariable + "=serve"}, []string{file}, &address)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	stop()
}
