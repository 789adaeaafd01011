// SPDX-License-Identifier: Apache-2.0

// Package tlsfile reads certificates and keys from files. A pipe, or a file system that does not
// answer, does not block the caller.
package tlsfile

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/gmpulse/gmpulse/internal/disk"
	"github.com/gmpulse/gmpulse/internal/guard"
)

const (
	// maxBytes is more than the 150 authorities of a distribution take.
	maxBytes = 4 << 20
	// timeout is how long a file may take to read.
	timeout = time.Second
)

// ErrNoCertificate is the error of [Pool] for a file without a certificate.
var ErrNoCertificate = errors.New("no certificate in PEM form")

// Pool returns the certificates in a PEM file.
func Pool(name string) (*x509.CertPool, error) {
	pem, err := read(name)
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %w", name, ErrNoCertificate)
	}
	return p, nil
}

// Pair returns a certificate and its key, each from a PEM file.
func Pair(certificate, key string) (tls.Certificate, error) {
	c, err := read(certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	k, err := read(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(c, k)
}

// read returns the contents of a file. A read that does not end in time goes on.
func read(name string) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	var reader guard.Poller[result]
	r, err := reader.Poll(timeout, func() result {
		text, err := disk.ReadFile(name, maxBytes)
		return result{text, err}
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return r.text, r.err
}
