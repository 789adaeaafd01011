// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"regexp"
	"strings"
	"testing"
)

// settings returns the lines of a configuration without comments and spaces around.
func settings(t *testing.T, file string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(read(t, file)) {
		line, _, _ = strings.Cut(line, "#")
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

// What a collector of logs has acknowledged it must not throw away: gmpulse has
// forgotten it.
func TestCollectorsKeepWhatTheyAcknowledge(t *testing.T) {
	bit := settings(t, "fluent-bit/fluent-bit.yaml")
	if strings.Contains(bit, "storage.total_limit_size") {
		t.Error("Fluent Bit evicts the oldest chunks beyond storage.total_limit_size")
	}
	for _, want := range []string{"storage.type: filesystem\n", "storage.pause_on_chunks_overlimit: on\n", "retry_limit: no_limits\n", "storage.checksum: off\n"} {
		if !strings.Contains(bit, want) {
			t.Errorf("fluent-bit.yaml: no %q", want)
		}
	}
	d := settings(t, "fluentd/fluent.conf")
	main := regexp.MustCompile(`(?s)<match gmpulse.*?</match>`).FindString(d)
	for _, want := range []string{"@type file\n", "overflow_action throw_exception\n", "retry_forever true\n"} {
		if !strings.Contains(main, want) {
			t.Errorf("fluent.conf: no %q", want)
		}
	}
	if !regexp.MustCompile(`(?s)<label @ERROR>\n<match \*\*>\n@type file\n.*</label>`).MatchString(d) {
		t.Error("fluent.conf: what the store refuses is thrown away: no <label @ERROR>")
	}
}
