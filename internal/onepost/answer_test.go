// SPDX-License-Identifier: Apache-2.0

package onepost_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/internal/onepost"
)

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]time.Duration{
			"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "999999999": time.Hour, "99999999999999999999": 0,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):  time.Minute,
			time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
		} {
			if got := onepost.RetryAfter(&http.Response{Header: http.Header{"Retry-After": {value}}}); got != want {
				t.Errorf("%q: %v, want %v", value, got, want)
			}
		}
	})
}

func TestExcerpt(t *testing.T) {
	for body, want := range map[string]string{
		"": "", " not\tfound\r\n": "not found", "a\xff b": "a b", "\x08\x03\x12\x0bbad profile": "bad profile", "错误": "错误",
		strings.Repeat("é", 200) + "x": strings.Repeat("é", 150), "x" + strings.Repeat("é", 200): "x" + strings.Repeat("é", 149),
	} {
		if got := onepost.Excerpt(strings.NewReader(body)); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
}
