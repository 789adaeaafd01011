// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/redact"
)

// FuzzURL checks that the result contains no password and that URL is idempotent.
func FuzzURL(f *testing.F) {
	f.Add("tcp", "s3cret", "fluentd:24224", "")
	f.Add("http", "a@b?c#d", "[::1]:1", "?token=x")
	f.Add("", "%zz", "", "#")
	f.Fuzz(func(t *testing.T, scheme, password, host, rest string) {
		raw := scheme + "://me:" + password + "@" + host + rest
		got := redact.URL(raw)
		if again := redact.URL(got); again != got && !strings.ContainsAny(scheme, "?#") {
			t.Errorf("%q becomes %q, then %q", raw, got, again)
		}
		u, err := url.Parse(raw)
		if err != nil || u.User == nil {
			return
		}
		if len(password) > 4 && !strings.Contains(scheme+"://xxxxx@"+host+rest, password) && strings.Contains(got, password) {
			t.Errorf("%q becomes %q, which contains the password", raw, got)
		}
	})
}
