// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"regexp"
	"strings"
	"testing"
)

// settings returns the lines of a configuration file without comments and surrounding space.
func settings(t *testing.T, file string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(read(t, file)) {
		line, _, _ = strings.Cut(line, "#")
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

// A log collector must not discard records that it has acknowledged, because gmpulse
// no longer has them.
func TestCollectorsKeepAcknowledgedRecords(t *testing.T) {
	bit := settings(t, "fluent-bit/fluent-bit.yaml")
	if strings.Contains(bit, "storage.total_limit_size") {
		t.Error("fluent-bit.yaml: storage.total_limit_size makes Fluent Bit delete acknowledged chunks")
	}
	for _, want := range []string{"storage.type: filesystem\n", "storage.pause_on_chunks_overlimit: on\n", "retry_limit: no_limits\n", "storage.checksum: off\n"} {
		if !strings.Contains(bit, want) {
			t.Errorf("fluent-bit.yaml lacks %q", want)
		}
	}
	d := settings(t, "fluentd/fluent.conf")
	main := regexp.MustCompile(`(?s)<match gmpulse.*?</match>`).FindString(d)
	for _, want := range []string{"@type file\n", "overflow_action throw_exception\n", "retry_forever true\n"} {
		if !strings.Contains(main, want) {
			t.Errorf("fluent.conf lacks %q", want)
		}
	}
	if !regexp.MustCompile(`(?s)<label @ERROR>\n<match \*\*>\n@type file\n.*</label>`).MatchString(d) {
		t.Error("fluent.conf lacks <label @ERROR>: Fluentd discards records that the store refuses")
	}
}
