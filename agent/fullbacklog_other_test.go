// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package agent_test

import "testing"

func listenWithoutBacklog(t *testing.T) string {
	t.Helper()
	t.Skip("the test cannot set the backlog on this system")
	return ""
}
