// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
)

// FuzzConfig checks that an error for an invalid Config does not contain the password.
func FuzzConfig(f *testing.F) {
	f.Add("tcp://fluentd:24224", "gmpulse", "")
	f.Add("tls://[::1%25eth0]:1", "a..b", "s3cret")
	f.Add("unix:///x", "\xff", "%zz")
	f.Fuzz(func(t *testing.T, address, tag, password string) {
		if scheme, rest, ok := strings.Cut(address, "://"); ok && password != "" {
			address = scheme + "://me:" + password + "@" + rest
		}
		e, err := fluentd.New(fluentd.Config{URL: address, Tag: tag, Service: password})
		if err == nil {
			if err := e.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			return
		}
		if len(password) > 5 && strings.Contains(err.Error(), "me:"+password+"@") {
			t.Errorf("the error contains the password: %v", err)
		}
	})
}
