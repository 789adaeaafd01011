// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/fluentd"
)

// certificate writes a certificate and its key to files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(&block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestFluentdVariables(t *testing.T) {
	cert, key := certificate(t)
	valid := map[string]string{
		"GMPULSE_FLUENTD": "tls://fluentd", "GMPULSE_FLUENTD_CA": cert, "GMPULSE_FLUENTD_CERT": cert, "GMPULSE_FLUENTD_KEY": key,
		"GMPULSE_FLUENTD_SHARED_KEY": "k3y", "GMPULSE_FLUENTD_USER": "me", "GMPULSE_FLUENTD_PASSWORD": "p4ss",
	}
	s := fromEnvironment(func(name string) string { return valid[name] })
	want := fluentd.Config{
		URL: "tls://fluentd", Tag: "gmpulse", CAFile: cert, CertFile: cert, KeyFile: key,
		SharedKey: "k3y", Username: "me", Password: "p4ss",
	}
	if s.wrong != nil || s.fluentd != want {
		t.Errorf("%+v, %v\nwant %+v", s.fluentd, s.wrong, want)
	}
	for name, test := range map[string]struct {
		change map[string]string
		want   string
	}{
		"no such CA":        {map[string]string{"GMPULSE_FLUENTD_CA": "/no/such.pem"}, `agent: GMPULSE_FLUENTD_CA="/no/such.pem": fluentd: CAFile open /no/such.pem`},
		"no key":            {map[string]string{"GMPULSE_FLUENTD_KEY": ""}, "agent: GMPULSE_FLUENTD and GMPULSE_FLUENTD_*: fluentd: CertFile and KeyFile"},
		"key without TLS":   {map[string]string{"GMPULSE_FLUENTD": "tcp://fluentd"}, "want tls://host:port"},
		"no password":       {map[string]string{"GMPULSE_FLUENTD_PASSWORD": ""}, "Username and Password"},
		"user in the URL":   {map[string]string{"GMPULSE_FLUENTD": "tls://me:p4ss@fluentd"}, "GMPULSE_FLUENTD_USER"},
		"wrong certificate": {map[string]string{"GMPULSE_FLUENTD_CERT": key}, "CertFile and KeyFile"},
	} {
		t.Run(name, func(t *testing.T) {
			env := maps.Clone(valid)
			maps.Copy(env, test.change)
			s := fromEnvironment(func(name string) string { return env[name] })
			switch {
			case s.wrong == nil || !strings.Contains(s.wrong.Error(), test.want):
				t.Errorf("%v, want %s", s.wrong, test.want)
			case strings.Contains(s.wrong.Error(), "k3y") || strings.Contains(s.wrong.Error(), "p4ss"):
				t.Errorf("a secret in %v", s.wrong)
			}
		})
	}
	delete(valid, "GMPULSE_FLUENTD")
	s = fromEnvironment(func(name string) string { return valid[name] })
	if s.warnUnused(); s.wrong != nil || len(s.warnings) != 1 || !strings.Contains(s.warnings[0].message, "GMPULSE_FLUENTD is not set") {
		t.Errorf("without an address: %v, %v", s.wrong, s.warnings)
	}
}
