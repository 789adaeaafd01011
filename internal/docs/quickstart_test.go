// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"path/filepath"
	"strings"
	"testing"
)

// Every quick start shows how a service that is ended by a signal stops the agent: in
// time for its last sample, and with a context that is not done already.
func TestQuickStartsStopTheAgent(t *testing.T) {
	for _, file := range []string{"README.md", "README.zh-CN.md", "docs/quickstart.md", "docs/zh/quickstart.md"} {
		text := read(t, filepath.Join(root, file))
		at := 0
		for _, want := range []string{"signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)", "agent.Start(", "serve(ctx", "end, cancel := context.WithTimeout(context.Background(), ", "a.Stop(end)"} {
			i := strings.Index(text[at:], want)
			if i < 0 {
				t.Errorf("%s does not show %s, in this order", file, want)
				break
			}
			at += i
		}
	}
}
