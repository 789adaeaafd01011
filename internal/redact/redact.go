// SPDX-License-Identifier: Apache-2.0

// Package redact hides the secrets in addresses that stand in errors and log lines.
package redact

import "strings"

const hidden = "xxxxx"

// URL hides what may be a secret in an address, whether or not it can be parsed: user
// and password, the query, and the fragment.
func URL(raw string) string {
	start := 0
	if i := strings.Index(raw, "://"); i >= 0 {
		start = i + len("://")
	}
	if at := strings.LastIndexByte(raw, '@'); at >= start {
		raw = raw[:start] + hidden + raw[at:]
	}
	if i := strings.IndexAny(raw, "?#"); i >= 0 && i+1 < len(raw) {
		raw = raw[:i+1] + hidden
	}
	return raw
}
