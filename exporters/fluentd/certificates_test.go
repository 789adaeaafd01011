// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/peers/forward"
)

// authority is a certificate authority. It writes its certificates to files.
type authority struct {
	dir, file string // of its own certificate
	cert      *x509.Certificate
	key       *ecdsa.PrivateKey
	serial    int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key, a.file, _ = a.issue(t, name, true)
	return a
}

// issue returns a certificate for 127.0.0.1 and the files with it and its key.
func (a *authority) issue(t *testing.T, name string, isCA bool) (cert *x509.Certificate, key *ecdsa.PrivateKey, certFile, keyFile string) {
	t.Helper()
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: isCA, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if isCA {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", private)
	return cert, key, certFile, keyFile
}

// files issues a certificate and returns the files with it and its key.
func (a *authority) files(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	_, _, certFile, keyFile = a.issue(t, name, false)
	return certFile, keyFile
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serverTLS returns the settings of a server with a certificate of a. If clients is not
// nil, the server requires a certificate of it.
func (a *authority) serverTLS(t *testing.T, clients *authority) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.files(t, "server"))
	if err != nil {
		t.Fatal(err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}}
	if clients != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		c.ClientCAs.AddCert(clients.cert)
	}
	return c
}

// tlsServer starts a server that speaks TLS and returns its address.
func tlsServer(t *testing.T, m mode, config *tls.Config) (p *peer, url string) {
	t.Helper()
	p = forward.Listen(t, "tcp", "127.0.0.1:0", m, func(l net.Listener) net.Listener { return tls.NewListener(l, config) })
	return p, "tls" + p.URL()[len("tcp"):]
}
