// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
)

func TestNewAcceptsValidURLs(t *testing.T) {
	for _, url := range []string{
		"tcp://localhost:24224",
		"tcp://localhost",
		"tcp://localhost:24224/",
		"tcp://[::1]:24224",
		"tcp://[::1]",
		"tcp://[fe80::1%25eth0]:24224",
		"tls://logs.example.com:443",
		"unix:///var/run/fluent.sock",
		"tcp://no-such-host.invalid:1", // an unreachable server is no configuration error
	} {
		t.Run(url, func(t *testing.T) {
			exp, err := fluentd.New(fluentd.Config{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			if err := exp.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
}

func TestNewRejectsInvalidConfigs(t *testing.T) {
	const good = "tcp://localhost"
	for name, test := range map[string]struct {
		cfg  fluentd.Config
		want []string // all must be in the error
	}{
		"empty URL":         {fluentd.Config{}, []string{`URL ""`, "tcp://host:port, tls://host:port or unix:///path"}},
		"no scheme":         {fluentd.Config{URL: "localhost:24224"}, []string{`URL "localhost:24224"`, "tcp://host:port"}},
		"other scheme":      {fluentd.Config{URL: "http://localhost"}, []string{`URL "http://localhost"`, "unknown scheme"}},
		"not a URL":         {fluentd.Config{URL: "tcp://[::1"}, []string{`URL "tcp://[::1"`, "not a URL"}},
		"no host":           {fluentd.Config{URL: "tcp://:24224"}, []string{"no host"}},
		"port 0":            {fluentd.Config{URL: "tcp://h:0"}, []string{"port between 1 and 65535"}},
		"port too high":     {fluentd.Config{URL: "tcp://h:65536"}, []string{"port between 1 and 65535"}},
		"port a word":       {fluentd.Config{URL: "tcp://h:forward"}, []string{`URL "tcp://h:forward"`}},
		"path":              {fluentd.Config{URL: "tcp://h:1/tag"}, []string{"more than an address"}},
		"query":             {fluentd.Config{URL: "tcp://h:1?tag=x"}, []string{"more than an address"}},
		"relative socket":   {fluentd.Config{URL: "unix://fluent.sock"}, []string{"absolute path"}},
		"no socket":         {fluentd.Config{URL: "unix:///"}, []string{"absolute path"}},
		"tag":               {fluentd.Config{URL: good, Tag: "a b"}, []string{`Tag "a b"`, "letters"}},
		"tag ends in a dot": {fluentd.Config{URL: good, Tag: "a."}, []string{`Tag "a."`}},
		"timeout":           {fluentd.Config{URL: good, Timeout: -1}, []string{"Timeout -1ns", "positive"}},
		"all joined": {
			fluentd.Config{URL: "x", Tag: "*", WriteTimeout: -time.Second, AckTimeout: -time.Minute},
			[]string{`URL "x"`, `Tag "*"`, "WriteTimeout -1s", "AckTimeout -1m0s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			exp, err := fluentd.New(test.cfg)
			if err == nil || exp != nil {
				t.Fatalf("New(%+v) = %v, %v; want an error", test.cfg, exp, err)
			}
			if !strings.HasPrefix(err.Error(), "fluentd: ") {
				t.Errorf("%q does not begin with the name of the package", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not contain %q", err, want)
				}
			}
		})
	}
}

func TestErrorsContainNoPassword(t *testing.T) {
	for _, url := range []string{"tcp://me:secret@host:1", "tcp://me:secret@[host:1", "http://me:p@secret@host", "me:secret@host", "tcp://host:1?password=secret", "tcp://host:1#secret", "tcp://me:?secret@host:1"} {
		_, err := fluentd.New(fluentd.Config{URL: url})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("New(%s): %v", url, err)
		}
	}
}

func TestTagsFollowTheConfig(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  fluentd.Config
		want string // of the record of the snapshot
	}{
		"defaults": {fluentd.Config{}, "gmpulse.unknown_service.runtime"},
		"set":      {fluentd.Config{Tag: "prod.Go-1", Service: "checkout-api_2"}, "prod.Go-1.checkout-api_2.runtime"},
		"unclean":  {fluentd.Config{Service: "My App/v2.1:größe"}, "gmpulse.my_app_v2_1_gr__e.runtime"},
		"long":     {fluentd.Config{Service: strings.Repeat("a", 1000)}, "gmpulse." + strings.Repeat("a", 128) + ".runtime"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, ack)
			test.cfg.URL = p.URL()
			exp := newExporter(t, test.cfg)
			if err := exp.Export(t.Context(), snapshot(1)); err != nil {
				t.Fatal(err)
			}
			if got := p.Received()[0].Tag; got != test.want {
				t.Errorf("tag %q, want %q", got, test.want)
			}
		})
	}
}

// newExporter returns an exporter and shuts it down when the test ends. Timeouts that are not
// set do not expire during a test.
func newExporter(tb testing.TB, cfg fluentd.Config) *fluentd.Exporter {
	tb.Helper()
	for _, d := range []*time.Duration{&cfg.Timeout, &cfg.WriteTimeout, &cfg.AckTimeout} {
		if *d == 0 {
			*d = ample
		}
	}
	exp, err := fluentd.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 10*time.Second)
		defer cancel()
		if err := exp.Shutdown(ctx); err != nil {
			tb.Errorf("Shutdown: %v", err)
		}
	})
	return exp
}
