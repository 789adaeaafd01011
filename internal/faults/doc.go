// SPDX-License-Identifier: Apache-2.0

// Package faults tests how what gmpulse writes to disk survives a disk that fails.
//
// Each test runs a store in a child process and traces its system calls (ptrace). A call
// on a file of the store can be made to fail, to write only a part, to be lost, to take
// long, or to be the last one before the process is killed or the power fails. A fresh
// process then opens the store. The production code knows nothing of this.
//
// The tests try a few of all combinations of calls and faults, others in each run. This
// command tries all of them, in about ten minutes:
//
//	GMPULSE_FAULTS=full go test -timeout 2h -v ./internal/faults
//
// A test that fails prints the command that repeats it. The command has the seed of the run,
// which determines the choice and what is left after a failure of the power.
package faults
