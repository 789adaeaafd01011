// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"testing"

	"github.com/gmpulse/gmpulse/internal/redact"
)

func TestURLHidesSecrets(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                 "",
		"tcp://fluentd:24224":              "tcp://fluentd:24224",
		"127.0.0.1:9464":                   "127.0.0.1:9464",
		"tcp://me:secret@host:1":           "tcp://xxxxx@host:1",
		"tcp://me:se@cret@host:1":          "tcp://xxxxx@host:1",
		"tcp://me:secret@[host:1":          "tcp://xxxxx@[host:1",
		"tcp://me:sec ret@host:port":       "tcp://xxxxx@host:port",
		"me:secret@host:1":                 "xxxxx@host:1",
		"secret@":                          "xxxxx@",
		"http://jaeger/{trace_id}?k=s3":    "http://jaeger/{trace_id}?xxxxx",
		"http://jaeger/{trace_id}#s3":      "http://jaeger/{trace_id}#xxxxx",
		"http://me:se?cret@jaeger/":        "http://xxxxx@jaeger/",
		"http://me:s%zzecret@jaeger/?a=b#": "http://xxxxx@jaeger/?xxxxx",
	} {
		if got := redact.URL(raw); got != want {
			t.Errorf("URL(%q) = %q, want %q", raw, got, want)
		}
	}
}
