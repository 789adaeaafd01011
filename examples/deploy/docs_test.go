// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"regexp"
	"strings"
	"testing"
)

// What the documents show of a file is in the file, in this order: they do not
// recommend one thing and ship another.
func TestDocumentsShowTheseFiles(t *testing.T) {
	shown := map[string]string{"Fluentd": "fluentd/fluent.conf", "Fluent Bit": "fluent-bit/fluent-bit.yaml"}
	for _, document := range []string{"../../docs/delivery.md", "../../docs/zh/delivery.md"} {
		text := read(t, document)
		for heading, file := range shown {
			block := regexp.MustCompile("(?s)### " + heading + "\n.*?```\\w*\n(.*?)```").FindStringSubmatch(text)
			if block == nil {
				t.Errorf("%s shows nothing of %s", document, file)
				continue
			}
			rest := "\n" + read(t, file)
			for line := range strings.Lines(block[1]) {
				_, after, ok := strings.Cut(rest, "\n"+line)
				if !ok {
					t.Errorf("%s shows %q, which is not in %s or not there", document, line, file)
				}
				rest = "\n" + after
			}
		}
	}
}
