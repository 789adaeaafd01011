// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"regexp"
	"strings"
	"testing"
)

// The lines that a document shows of a configuration file are in that file, in the
// same order.
func TestDocumentsQuoteConfigurationFiles(t *testing.T) {
	shown := map[string]string{"Fluentd": "fluentd/fluent.conf", "Fluent Bit": "fluent-bit/fluent-bit.yaml"}
	for _, document := range []string{"../../docs/delivery.md", "../../docs/zh/delivery.md"} {
		text := read(t, document)
		for heading, file := range shown {
			block := regexp.MustCompile("(?s)### " + heading + "\n.*?```\\w*\n(.*?)```").FindStringSubmatch(text)
			if block == nil {
				t.Errorf("%s shows no lines of %s", document, file)
				continue
			}
			rest := "\n" + read(t, file)
			for line := range strings.Lines(block[1]) {
				_, after, ok := strings.Cut(rest, "\n"+line)
				if !ok {
					t.Errorf("%s shows %q, which %s lacks at this place", document, line, file)
				}
				rest = "\n" + after
			}
		}
	}
}
