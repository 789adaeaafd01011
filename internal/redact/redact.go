// SPDX-License-Identifier: Apache-2.0

// Package redact removes secrets from addresses in errors and log lines.
package redact

import "strings"

const hidden = "xxxxx"

// URL returns raw with user and password, query, and fragment replaced by xxxxx. raw does
// not need to be a valid URL.
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
