// SPDX-License-Identifier: Apache-2.0

package otlpprofiles_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/otlp/otlpprofiles"
)

// An error names the field or the variable, and no secret.
func TestNewRejects(t *testing.T) {
	for _, test := range []struct {
		name, variable, value string
		config                otlpprofiles.Config
	}{
		{"Config.Endpoint", "", "", otlpprofiles.Config{Endpoint: "collector:4318"}},
		{"Config.Endpoint", "", "", otlpprofiles.Config{Endpoint: "http://me:secret@/"}},
		{"Config.Timeout", "", "", otlpprofiles.Config{Timeout: -time.Second}},
		{"Config.MaxBytes", "", "", otlpprofiles.Config{MaxBytes: -1}},
		{"Config.Headers", "", "", otlpprofiles.Config{Headers: map[string]string{"X-Key": "secret\r\nX: y"}}},
		{"Config.Headers", "", "", otlpprofiles.Config{Headers: map[string]string{"": "secret"}}},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", otlpprofiles.Config{}},
		{"OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT", "https://me:secret@[collector", otlpprofiles.Config{}},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", otlpprofiles.Config{}},
		{"OTEL_EXPORTER_OTLP_PROFILES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROFILES_PROTOCOL", "http/json", otlpprofiles.Config{}},
		{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS", "secret", otlpprofiles.Config{}},
		{"OTEL_EXPORTER_OTLP_PROFILES_HEADERS", "OTEL_EXPORTER_OTLP_PROFILES_HEADERS", "a=%zzsecret", otlpprofiles.Config{}},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT", "10s", otlpprofiles.Config{}},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT", "0", otlpprofiles.Config{}},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", otlpprofiles.Config{}},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE", "testdata/missing.pem", otlpprofiles.Config{}},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE", "testdata/cpu.json", otlpprofiles.Config{}},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_PROFILES_CLIENT_CERTIFICATE", "testdata/cpu.json", otlpprofiles.Config{}},
	} {
		t.Run(test.name+" "+test.value, func(t *testing.T) {
			if test.variable != "" {
				t.Setenv(test.variable, test.value)
			}
			_, err := otlpprofiles.New(test.config)
			if err == nil || !strings.Contains(err.Error(), test.name) || strings.Contains(err.Error(), "secret") && test.value != "secret" {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has a secret: %v", err)
			}
		})
	}
}

// The configuration overrides what the environment has.
func TestConfigOverridesTheEnvironment(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "malformed")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "malformed")
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "malformed")
	if _, err := otlpprofiles.New(otlpprofiles.Config{Endpoint: "http://localhost", Timeout: time.Second, TLS: &tls.Config{MinVersion: tls.VersionTLS13}}); err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	s := &server{}
	s.Server = httptest.NewTLSServer(s)
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	mustSend(t, newExporter(t, s.URL, otlpprofiles.Config{TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}), "", cpuProfile(t))

	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_PROFILES_CERTIFICATE", file)
	mustSend(t, newExporter(t, s.URL, otlpprofiles.Config{}), "", cpuProfile(t))
	if n := len(s.received()); n != 2 {
		t.Errorf("%d requests", n)
	}
}
