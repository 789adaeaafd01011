// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/redact"
)

// No password is left in what is shown, and what is shown is shown the same again.
func FuzzURL(f *testing.F) {
	f.Add("tcp", "s3cret", "fluentd:24224", "")
	f.Add("http", "a@b?c#d", "[::1]:1", "?token=x")
	f.Add("", "%zz", "", "#")
	f.Fuzz(func(t *testing.T, scheme, password, host, rest string) {
		raw := scheme + "://me:" + password + "@" + host + rest
		shown := redact.URL(raw)
		if again := redact.URL(shown); again != shown && !strings.ContainsAny(scheme, "?#") {
			t.Errorf("%q becomes %q, then %q", raw, shown, again)
		}
		u, err := url.Parse(raw)
		if err != nil || u.User == nil {
			return
		}
		if len(password) > 4 && !strings.Contains(scheme+"://xxxxx@"+host+rest, password) && strings.Contains(shown, password) {
			t.Errorf("%q shows the password: %q", raw, shown)
		}
	})
}
