// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
)

// A server with a certificate of its own CA that requires a client certificate receives the
// records. Each fault of the settings has an error that names the fix.
func TestOwnAuthorityAndClientCertificate(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	cert, key := ca.files(t, "client")
	wrongCert, wrongKey := other.files(t, "wrong")
	p, url := tlsServer(t, ack, ca.serverTLS(t, ca))
	named := strings.Replace(url, "127.0.0.1", "localhost", 1)
	for name, test := range map[string]struct {
		cfg  fluentd.Config
		want string // "": the record arrives
	}{
		"both":                       {cfg: fluentd.Config{URL: url, CAFile: ca.file, CertFile: cert, KeyFile: key}},
		"unverified":                 {cfg: fluentd.Config{URL: url, InsecureSkipVerify: true, CertFile: cert, KeyFile: key}},
		"server name":                {cfg: fluentd.Config{URL: named, CAFile: ca.file, CertFile: cert, KeyFile: key, TLS: &tls.Config{ServerName: "127.0.0.1"}}},
		"another name":               {cfg: fluentd.Config{URL: named, CAFile: ca.file, CertFile: cert, KeyFile: key}, want: "set TLS.ServerName"},
		"no CA":                      {cfg: fluentd.Config{URL: url, CertFile: cert, KeyFile: key}, want: "set CAFile to the CA of the server"},
		"wrong CA":                   {cfg: fluentd.Config{URL: url, CAFile: other.file, CertFile: cert, KeyFile: key}, want: `other.crt" has not the CA of the server`},
		"no certificate":             {cfg: fluentd.Config{URL: url, CAFile: ca.file}, want: "the server requires a client certificate: set CertFile and KeyFile"},
		"no certificate, CA ignored": {cfg: fluentd.Config{URL: url, InsecureSkipVerify: true}, want: "the server requires a client certificate: set CertFile and KeyFile"},
		"certificate of a stranger":  {cfg: fluentd.Config{URL: url, CAFile: ca.file, CertFile: wrongCert, KeyFile: wrongKey}, want: "the server"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(p.Received())
			exp := newExporter(t, test.cfg)
			err := exp.Export(t.Context(), snapshot(1))
			arrived := len(p.Received()) - before
			if test.want == "" {
				if err != nil || arrived != 1 {
					t.Errorf("Export: %v, %d records arrived", err, arrived)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || arrived != 0 {
				t.Errorf("Export: %v, want %q; %d records arrived", err, test.want, arrived)
			}
		})
	}
}

func TestTLSToAServerWithout(t *testing.T) {
	ca := newAuthority(t, "ca")
	for name, test := range map[string]struct {
		mode    mode
		timeout time.Duration
		want    string
	}{
		"silent":      {ack, ample, "the server may not speak TLS"},
		"greets":      {sharedKey, ample, "the server does not speak TLS: use tcp://"},
		"hangs":       {hang, short, "the server may not speak TLS"},
		"closes":      {closeAtOnce, ample, "no connection: "},
		"another one": {speaksFirst, ample, "the server does not speak TLS: use tcp://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := strings.Replace(newPeer(t, test.mode).URL(), "tcp", "tls", 1)
			exp := newExporter(t, fluentd.Config{URL: url, CAFile: ca.file, Timeout: test.timeout})
			begin := time.Now()
			err := exp.Export(t.Context(), snapshot(1))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Export: %v, want %q", err, test.want)
			}
			if took := time.Since(begin); took > short+slack {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestRenewedCertificatesAreUsed replaces the CA of the server, the server's certificate and
// the client's while the exporter runs. The next connection uses the new files.
func TestRenewedCertificatesAreUsed(t *testing.T) {
	var current atomic.Pointer[tls.Config]
	p, url := tlsServer(t, onePerConn, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return current.Load(), nil
	}})
	dir := t.TempDir()
	install := func(a *authority) {
		cert, key := a.files(t, "client")
		for name, from := range map[string]string{"ca": a.file, "cert": cert, "key": key} {
			b, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	current.Store(first.serverTLS(t, first))
	install(first)
	exp := newExporter(t, fluentd.Config{
		URL: url, CAFile: filepath.Join(dir, "ca"), CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key"),
	})
	if err := exp.Export(t.Context(), snapshot(1)); err != nil {
		t.Fatal(err)
	}
	current.Store(second.serverTLS(t, second))
	if err := exp.Export(t.Context(), snapshot(2)); err == nil || !strings.Contains(err.Error(), "has not the CA of the server") {
		t.Errorf("Export with the old files: %v", err)
	}
	install(second)
	if err := exp.Export(t.Context(), snapshot(3)); err != nil {
		t.Errorf("Export with the new files: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "cert")); err != nil {
		t.Fatal(err)
	}
	if err := exp.Export(t.Context(), snapshot(4)); err == nil || !strings.Contains(err.Error(), "CertFile") {
		t.Errorf("Export without the file: %v", err)
	}
	if n := len(p.Received()); n != 2 {
		t.Errorf("%d records arrived, want 2", n)
	}
}

func TestTLSFilesAreChecked(t *testing.T) {
	ca := newAuthority(t, "ca")
	cert, key := ca.files(t, "client")
	_, otherKey := ca.files(t, "other")
	const url = "tls://localhost"
	for name, test := range map[string]struct {
		cfg  fluentd.Config
		want string
	}{
		"no file":           {fluentd.Config{URL: url, CAFile: "/no/such.pem"}, "CAFile open /no/such.pem"},
		"no certificate":    {fluentd.Config{URL: url, CAFile: key}, "no certificate in PEM form"},
		"key only":          {fluentd.Config{URL: url, KeyFile: key}, "CertFile and KeyFile"},
		"certificate only":  {fluentd.Config{URL: url, CertFile: cert}, "CertFile and KeyFile"},
		"key of another":    {fluentd.Config{URL: url, CertFile: cert, KeyFile: otherKey}, "private key does not match"},
		"CA without TLS":    {fluentd.Config{URL: "tcp://localhost", CAFile: ca.file}, "CAFile with a tcp:// URL: want tls://host:port"},
		"TLS over a socket": {fluentd.Config{URL: "unix:///run/x", TLS: &tls.Config{ServerName: "x"}}, "TLS with a unix:// URL"}, //nolint:gosec // no connection
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := fluentd.New(test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New: %v, want %q", err, test.want)
			}
		})
	}
}

func TestErrorSuggestsTLS(t *testing.T) {
	_, url, _ := tlsPeer(t)
	e := newExporter(t, fluentd.Config{URL: strings.Replace(url, "tls://", "tcp://", 1)})
	for range 2 {
		err := e.Export(t.Context(), snapshot(1))
		if err == nil || !strings.Contains(err.Error(), "use tls://") {
			t.Errorf("%v", err)
		}
	}
}
