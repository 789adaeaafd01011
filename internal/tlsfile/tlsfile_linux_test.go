// SPDX-License-Identifier: Apache-2.0

package tlsfile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gmpulse/gmpulse/internal/disk"
	"github.com/gmpulse/gmpulse/internal/tlsfile"
)

// files writes a certificate and its key, and returns their names.
func files(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		name = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	return write("cert.pem", "CERTIFICATE", cert), write("key.pem", "PRIVATE KEY", encoded)
}

func TestReadsCertificates(t *testing.T) {
	cert, key := files(t)
	if pool, err := tlsfile.Pool(cert); err != nil || pool.Equal(x509.NewCertPool()) {
		t.Errorf("Pool: %v", err)
	}
	if pair, err := tlsfile.Pair(cert, key); err != nil || len(pair.Certificate) != 1 {
		t.Errorf("Pair: %v", err)
	}
	if _, err := tlsfile.Pool(key); !errors.Is(err, tlsfile.ErrNoCertificate) {
		t.Errorf("Pool of a key: %v", err)
	}
}

// TestSpecialFilesAreErrors has a pipe without a writer, a directory and an endless device.
func TestSpecialFilesAreErrors(t *testing.T) {
	cert, key := files(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, special := range []string{pipe, t.TempDir(), "/dev/zero"} {
		if _, err := tlsfile.Pool(special); !errors.Is(err, disk.ErrNotRegular) {
			t.Errorf("Pool(%s): %v", special, err)
		}
		if _, err := tlsfile.Pair(special, key); !errors.Is(err, disk.ErrNotRegular) {
			t.Errorf("Pair(%s, key): %v", special, err)
		}
		if _, err := tlsfile.Pair(cert, special); !errors.Is(err, disk.ErrNotRegular) {
			t.Errorf("Pair(certificate, %s): %v", special, err)
		}
	}
}
