// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

// Every value is accepted, ignored with a warning, or an error. An accepted value is valid for
// the part that it configures.
func FuzzEnvironment(f *testing.F) {
	for i, v := range []string{"true", "me:s3cret@host", "a=b,c=%zz", "[::1]:99999", "1e-3", "9223372036854775808", "tcp://u:p@h:1", "72h", "off", "http://x/{trace_id}", "metrics, /healthz"} {
		f.Add(byte(i), v, byte(2*i), v)
	}
	f.Fuzz(func(t *testing.T, first byte, value string, second byte, other string) {
		all := variables()
		env := map[string]string{all[int(first)%len(all)].name: value, all[int(second)%len(all)].name: other}
		s := fromEnvironment(func(name string) string { return env[name] })
		s.warnUnused()
		if n := len(s.warnings); n > len(all)+3 {
			t.Errorf("%d warnings", n)
		}
		if s.wrong != nil && !strings.HasPrefix(s.wrong.Error(), "agent: ") {
			t.Errorf("error %v", s.wrong)
		}
		if s.fluentd.URL != "" {
			if _, err := fluentd.New(s.fluentd); err != nil {
				t.Errorf("%q was accepted: %v", env, err)
			}
		}
		if _, err := page.New(page.Config{TraceURL: s.page.TraceURL}); err != nil {
			t.Errorf("%q was accepted: %v", env, err)
		}
		if _, err := baseline.New(baseline.Config{AlertsPerWeek: s.baselines.AlertsPerWeek}); err != nil {
			t.Errorf("%q was accepted: %v", env, err)
		}
		for _, d := range []fmt.Stringer{s.interval, s.hostInterval, s.spool.MaxAge} {
			if strings.HasPrefix(d.String(), "-") {
				t.Errorf("%q: %v", env, d)
			}
		}
	})
}
